# A command of forestage under the name of a program that people know.
{
  writeShellScriptBin,
  forestage,
  name,
  command,
}:
writeShellScriptBin name ''
  exec ${forestage}/bin/forestage ${command} "$@"
''
