# The files that identities come from.
{
  # All of them, of an attribute set such as config.sops or config.sops.initrd.
  files =
    { age, gnupg, ... }:
    (if gnupg.home != null then [ gnupg.home ] else [ ])
    ++ gnupg.sshKeyPaths
    ++ (if age.keyFile != null then [ age.keyFile ] else [ ])
    ++ age.sshKeyPaths;

  # As fields of a manifest.
  fields =
    { age, gnupg, ... }:
    {
      gnupgHome = gnupg.home;
      sshKeyPaths = gnupg.sshKeyPaths;
      ageKeyFile = age.keyFile;
      ageSshKeyPaths = age.sshKeyPaths;
    };
}
