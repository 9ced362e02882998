# A shell hook that imports the public keys of a repository into gpg's keyring, so that sops can encrypt to them.
{
  makeSetupHook,
  gnupg,
  sops,
}:
makeSetupHook {
  name = "sops-import-keys-hook";
  substitutions.gpg = "${gnupg}/bin/gpg";
  propagatedBuildInputs = [
    gnupg
    sops
  ];
} ./sops-import-keys-hook.bash
