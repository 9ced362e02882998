# forestage under the name of a program that people know.
{
  runCommandLocal,
  forestage,
  name,
}:
runCommandLocal name { meta.mainProgram = name; } ''
  mkdir -p "$out/bin"
  ln -s ${forestage}/bin/forestage "$out/bin/${name}"
''
