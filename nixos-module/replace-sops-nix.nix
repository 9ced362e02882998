# For a configuration into which some other module imports sops-nix by itself. Two modules cannot declare sops.secrets ("The
# option `sops.secrets' ... is already declared"); this one disables sops-nix's and stands in its place.
#
# It must know the path that sops-nix is imported from. With flakes it takes `inputs.sops-nix` of specialArgs; else say it:
#
#   imports = [ (import "${forestage}/nixos-module/replace-sops-nix.nix" { sops-nix = ./path/to/sops-nix; }) ];
args:
let
  sops-nix =
    args.sops-nix or args.inputs.sops-nix or (throw ''
      replace-sops-nix does not know where sops-nix is: pass specialArgs = { inherit inputs; } with an input sops-nix, or
      import nixos-module/replace-sops-nix.nix with { sops-nix = its path; }.
    '');
  # A path stays where it is: modules are known by where they lie.
  directory = if builtins.isPath sops-nix then toString sops-nix else "${sops-nix}";
in
{
  imports = [ ./. ];
  disabledModules = [ "${directory}/modules/sops" ];
}
