# The older hook: also tells sops to encrypt to the imported keys, by SOPS_PGP_FP.
{
  makeSetupHook,
  gnupg,
  sops,
}:
makeSetupHook {
  name = "sops-pgp-hook";
  substitutions.gpg = "${gnupg}/bin/gpg";
  propagatedBuildInputs = [
    gnupg
    sops
  ];
} ./sops-pgp-hook.bash
