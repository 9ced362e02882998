# Where each phase lands.
rec {
  phases = {
    system = {
      mountPoint = "/run/secrets.d";
      symlink = "/run/secrets";
    };
    users = {
      mountPoint = "/run/secrets-for-users.d";
      symlink = "/run/secrets-for-users";
    };
    bootloader = {
      mountPoint = "/run/secrets-for-bootloader.d";
      symlink = "/run/secrets-for-bootloader";
    };
  };

  # The phase that a secret or template belongs to, whatever the initrd takes besides.
  phaseOf =
    entry:
    if entry.neededForBootloader then
      "bootloader"
    else if entry.neededForUsers then
      "users"
    else
      "system";

  # The directory that people see.
  of = entry: phases.${phaseOf entry}.symlink;
}
