# Options that secrets and templates have in common.
{ lib }:
let
  inherit (lib) mkOption types;
in
{
  # Who may read it. sops-nix takes strings of another type for templates than for secrets.
  ownership =
    {
      entry,
      users,
      string,
    }:
    {
      owner = mkOption {
        type = types.nullOr string;
        default = null;
        description = "Owner by name; only with `uid` 0.";
      };
      uid = mkOption {
        type = types.nullOr types.int;
        default = 0;
        description = "Owner by number, when `owner` is null; no such user need exist.";
      };
      group = mkOption {
        type = types.nullOr string;
        default = if entry.owner != null then users.${entry.owner}.group else null;
        defaultText = lib.literalMD "the group of `owner`";
        description = "Group by name; only with `gid` 0.";
      };
      gid = mkOption {
        type = types.nullOr types.int;
        default = 0;
        description = "Group by number, when `group` is null; no such group need exist.";
      };
    };

  # `what` has changed.
  units =
    what:
    lib.mapAttrs'
      (
        verb: name:
        lib.nameValuePair name (mkOption {
          type = types.listOf types.str;
          default = [ ];
          example = [ "sshd.service" ];
          description = "Units to ${verb} when ${what} has changed.";
        })
      )
      {
        restart = "restartUnits";
        reload = "reloadUnits";
      };

  # `kind` is what the descriptions call it; `entry` its configuration.
  initrd =
    { kind, entry }:
    {
      enable = mkOption {
        type = types.bool;
        default = false;
        description = ''
          Whether this ${kind} is also needed in the initrd. It is decrypted while the bootloader is installed and appended
          to the initrd as a segment of its own: at the first switch, with nothing to run before. Whoever can read the boot
          partition can read it.
        '';
      };
      path = mkOption {
        type = types.str;
        default = entry.path;
        defaultText = lib.literalMD "the ${kind}'s `path`";
        example = "/etc/ssh/ssh_host_ed25519_key";
        description = ''
          Where it lies in the initrd. Below `/run` it also survives into the running system; below `/run/secrets` until the
          ${kind} itself is set up there.
        '';
      };
      owner = mkOption {
        type = types.nullOr (types.either types.ints.unsigned types.str);
        default = null;
        example = "systemd-network";
        description = ''
          Owner in the initrd: a number, or the name of a user in `boot.initrd.systemd.users`. `null` means root.
        '';
      };
      group = mkOption {
        type = types.nullOr (types.either types.ints.unsigned types.str);
        default = null;
        description = ''
          Group in the initrd: a number, or the name of a group in `boot.initrd.systemd.groups`. `null` means the group of
          the owner if that is a name, else root.
        '';
      };
      mode = mkOption {
        type = types.str;
        default = entry.mode;
        defaultText = lib.literalMD "the ${kind}'s `mode`";
        description = "Permissions in the initrd, in octal.";
      };
      credential = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "luks-key";
        description = ''
          Name of the systemd credential that units of the initrd and of the running system load this ${kind} by, with
          `LoadCredential=` or `ImportCredential=`.
        '';
      };
    };

  neededForBootloader =
    kind:
    mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether this ${kind} is needed while the bootloader is installed: a password file of GRUB, a key that signs boot
        images. It is then in `/run/secrets-for-bootloader` for as long as the installer of the bootloader runs, belongs to
        root, and exists at no other time.
      '';
    };
}
