# The options of sops-nix's module for home-manager, with the same types and defaults.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;
  cfg = config.sops;
  outsideStore = import ../nixos-module/lib/outside-store.nix { inherit lib; };

  secret = types.submodule (
    { name, ... }:
    {
      options = {
        name = mkOption {
          type = types.str;
          default = name;
          description = "Name of the file below `sops.defaultSymlinkPath`.";
        };
        key = mkOption {
          type = types.str;
          default = if cfg.defaultSopsKey != null then cfg.defaultSopsKey else name;
          defaultText = lib.literalMD "`sops.defaultSopsKey`, else the name";
          description = "Which value of the sops file: mapping keys and list indices joined by `/`; `\"\"` means the whole file.";
        };
        path = mkOption {
          type = types.str;
          default = "${cfg.defaultSymlinkPath}/${name}";
          defaultText = lib.literalExpression "\"\${config.sops.defaultSymlinkPath}/\${name}\"";
          description = "Where the secret can be read. `%r` stands for the runtime directory of the user.";
        };
        format = mkOption {
          type = types.enum [
            "yaml"
            "json"
            "binary"
            "ini"
            "dotenv"
          ];
          default = cfg.defaultSopsFormat;
          defaultText = lib.literalExpression "config.sops.defaultSopsFormat";
          description = "How the sops file is written.";
        };
        mode = mkOption {
          type = types.str;
          default = "0400";
          description = "Permissions, in octal.";
        };
        sopsFile = mkOption {
          type = types.path;
          default = cfg.defaultSopsFile;
          defaultText = lib.literalExpression "config.sops.defaultSopsFile";
          description = "The encrypted file.";
        };
      };
    }
  );
in
{
  options.sops = {
    secrets = mkOption {
      type = types.attrsOf secret;
      default = { };
      description = "Values of sops files, and the files that they become.";
    };
    defaultSopsFile = mkOption {
      type = types.path;
      description = "The sops file of secrets that name none.";
    };
    defaultSopsFormat = mkOption {
      type = types.str;
      default = "yaml";
      description = "The format of sops files, for secrets that name none.";
    };
    defaultSopsKey = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "The key of secrets that name none; `null` means their names.";
    };
    validateSopsFiles = mkOption {
      type = types.bool;
      default = true;
      description = "Whether sops files are checked when the configuration is built; they must then be in the Nix store.";
    };
    defaultSymlinkPath = mkOption {
      type = types.str;
      default = "${config.xdg.configHome}/sops-nix/secrets";
      defaultText = lib.literalExpression "\"\${config.xdg.configHome}/sops-nix/secrets\"";
      description = "The link to the current generation of secrets.";
    };
    defaultSecretsMountPoint = mkOption {
      type = types.str;
      default = "%r/secrets.d";
      description = "Where generations of secrets live. `%r` stands for the runtime directory of the user.";
    };
    keepGenerations = mkOption {
      type = types.ints.unsigned;
      default = 1;
      description = "How many generations of secrets to keep; 0 keeps all.";
    };
    log = mkOption {
      type = types.listOf (
        types.enum [
          "keyImport"
          "secretChanges"
        ]
      );
      default = [
        "keyImport"
        "secretChanges"
      ];
      description = "What to log.";
    };
    environment = mkOption {
      type = types.attrsOf (types.either types.str types.path);
      default = { };
      description = "Environment of forestage.";
    };
    package = mkOption {
      type = types.package;
      default = (import ../default.nix { inherit pkgs; }).forestage;
      defaultText = lib.literalExpression "forestage";
      description = "The forestage to use.";
    };
    age = {
      keyFile = mkOption {
        type = types.nullOr outsideStore;
        default = null;
        example = "/home/someuser/.age-key.txt";
        description = "File with age identities, one a line.";
      };
      plugins = mkOption {
        type = types.listOf types.package;
        default = [ ];
        description = "age plugins that may be needed for decrypting.";
      };
      generateKey = mkOption {
        type = types.bool;
        default = false;
        description = "Whether to make an age identity at `sops.age.keyFile` when there is none.";
      };
      sshKeyPaths = mkOption {
        type = types.listOf types.path;
        default = [ ];
        description = "ssh private keys (ed25519) to use as age identities.";
      };
    };
    gnupg = {
      package = mkOption {
        type = types.package;
        default = pkgs.gnupg;
        defaultText = lib.literalExpression "pkgs.gnupg";
        description = "The GnuPG to use.";
      };
      home = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "/home/someuser/.gnupg";
        description = "Home of GnuPG whose keys decrypt.";
      };
      qubes-split-gpg = {
        enable = lib.mkEnableOption "Split GPG of Qubes OS";
        domain = mkOption {
          type = types.nullOr types.str;
          default = null;
          example = "vault-gpg";
          description = "The qube that has the keys.";
        };
      };
      sshKeyPaths = mkOption {
        type = types.listOf types.path;
        default = [ ];
        description = "ssh private keys (RSA) to use as OpenPGP keys.";
      };
    };
  };
}
