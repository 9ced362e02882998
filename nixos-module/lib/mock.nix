# Dummies for sops.mock: a sops file for each secret, and the key that opens them all.
{
  config,
  lib,
  pkgs,
}:
let
  cfg = config.sops;

  # Public, and worth nothing.
  recipient = "age1tskv04xde7ptwu9fugqnyj66trvgtvt4zfs47rr88galj504naxsyam7mw";
  identity = "AGE-SECRET-KEY-1DFR3ML2M6XHY64UGTSLJKAE6H8M84PSMUTGU042QYWUJ8S874F5S4HK5LJ";

  value = name: cfg.mock.values.${name} or "mock value of ${name}";

  # What sops is to encrypt.
  nested = key: text: lib.setAttrByPath (lib.splitString "/" key) text;
  plain =
    name: secret:
    let
      text = value name;
      document = if secret.key == "" then { mock = text; } else nested secret.key text;
    in
    {
      yaml = builtins.toJSON document;
      json = builtins.toJSON document;
      dotenv = "MOCK=${lib.replaceStrings [ "\n" ] [ " " ] text}\n";
      ini = "[mock]\nmock = ${lib.replaceStrings [ "\n" ] [ " " ] text}\n";
      binary = text;
    }
    .${secret.format};
in
{
  # What a template becomes.
  rendered =
    template:
    let
      names = lib.attrNames cfg.placeholder;
    in
    lib.replaceStrings (map (name: toString cfg.placeholder.${name}) names) (map value names) template.content;
  inherit value;

  identities = {
    gnupgHome = null;
    sshKeyPaths = [ ];
    ageKeyFile = "${pkgs.writeText "mock-age-key" identity}";
    ageSshKeyPaths = [ ];
  };

  # The same secret, from a file that the mock key opens.
  secret =
    name: secret:
    secret
    // {
      sopsFile = "${
        pkgs.runCommand "mock-sops-file"
          {
            text = plain name secret;
            passAsFile = [ "text" ];
          }
          ''
            ${pkgs.sops}/bin/sops --encrypt --age ${recipient} --input-type ${secret.format} \
              --output-type ${secret.format} "$textPath" > "$out"
          ''
      }";
      sopsFileHash = "";
    };
}
