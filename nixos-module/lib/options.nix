# Options that the modules for NixOS and for home-manager have in common, with the types and defaults of sops-nix.
{
  lib,
  pkgs,
  # config.sops
  cfg,
}:
let
  inherit (lib) mkOption types;
  outsideStore = import ./outside-store.nix { inherit lib; };
in
{
  settings = {
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
      description = "The key of secrets that name none; `null` means their names, `\"\"` whole files.";
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
    package = mkOption {
      type = types.package;
      default = (import ../../default.nix { inherit pkgs; }).forestage;
      defaultText = lib.literalExpression "forestage";
      description = "The forestage to use.";
    };
  };

  # `sshKeys` gives the default of the ssh keys of a type (ed25519, rsa).
  identities = sshKeys: {
    age = {
      keyFile = mkOption {
        type = types.nullOr outsideStore;
        default = null;
        example = "/var/lib/sops-nix/key.txt";
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
      sshKeyPaths = mkOption (
        {
          type = types.listOf types.path;
          description = "ssh private keys (ed25519) to use as age identities.";
        }
        // sshKeys "ed25519"
      );
    };
    gnupg = {
      home = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "/root/.gnupg";
        description = "Home of GnuPG whose keys decrypt.";
      };
      sshKeyPaths = mkOption (
        {
          type = types.listOf types.path;
          description = "ssh private keys (RSA) to use as OpenPGP keys. Must be `[ ]` when `sops.gnupg.home` is set.";
        }
        // sshKeys "rsa"
      );
      package = mkOption {
        type = types.package;
        default = pkgs.gnupg;
        defaultText = lib.literalExpression "pkgs.gnupg";
        description = "The GnuPG to use.";
      };
    };
  };

  # Of one secret.
  secret =
    { name }:
    {
      key = mkOption {
        type = types.str;
        default = if cfg.defaultSopsKey != null then cfg.defaultSopsKey else name;
        defaultText = lib.literalMD "`sops.defaultSopsKey`, else the name";
        description = ''
          Which value of the sops file: mapping keys and list indices joined by `/`. `""` means the whole file, as sops
          prints it. Files of the formats binary, dotenv and ini are always written whole.
        '';
      };
      mode = mkOption {
        type = types.str;
        default = "0400";
        description = "Permissions, in octal.";
      };
      # In sops-nix the two modules name the formats in another order, which the type shows.
      format =
        formats:
        mkOption {
          type = types.enum formats;
          default = cfg.defaultSopsFormat;
          defaultText = lib.literalExpression "config.sops.defaultSopsFormat";
          description = "How the sops file is written.";
        };
    };

  # Of one template; `config` is its configuration.
  template = config: {
    content = mkOption {
      type = types.lines;
      default = "";
      description = "The text, with `config.sops.placeholder.NAME` where values of secrets belong.";
    };
    mode = mkOption {
      type = types.singleLineStr;
      default = "0400";
      description = "Permissions, in octal.";
    };
    file = mkOption {
      type = types.path;
      default = pkgs.writeText config.name config.content;
      defaultText = lib.literalExpression "pkgs.writeText config.name config.content";
      example = "./configuration-template.conf";
      description = "File with the text, when `content` is empty.";
    };
  };

  placeholder = mkOption {
    type = types.attrsOf (
      types.mkOptionType {
        name = "coercibleToString";
        description = "value that can be coerced to string";
        check = lib.strings.isConvertibleWithToString;
        merge = lib.mergeEqualOption;
      }
    );
    default = { };
    visible = false;
    description = "What stands for the value of each secret in a template.";
  };
  # What they are by default.
  placeholders = lib.mkIf (cfg.templates != { }) (
    lib.mapAttrs (
      name: _: lib.mkDefault "<SOPS:${builtins.hashString "sha256" name}:PLACEHOLDER>"
    ) cfg.secrets
  );
}
