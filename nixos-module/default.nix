# The NixOS module: sops-nix's options, and secrets in every boot phase.
#
# One file a phase or concern. What several files need (which secret belongs to which phase, how a manifest is written) is
# in lib/, as plain functions of the configuration.
{
  imports = [
    # What people write.
    ./secrets.nix
    ./templates.nix
    ./identities.nix
    ./settings.nix
    ./initrd/options.nix
    ./renamed.nix

    # What becomes of it, phase by phase.
    ./bootloader.nix
    ./initrd/appender.nix
    ./initrd/stage-1.nix
    ./users.nix
    ./system.nix

    # What all phases share.
    ./generate-key.nix
    ./target.nix
    ./pre-switch.nix
    ./assertions.nix
    ./warnings.nix
    ./mock.nix
  ];
}
