# boot.loader.limine, for trees that do not have it: what other modules see of it.
{ lib, config, ... }:
{
  options.boot.loader.limine.enable = lib.mkEnableOption "limine";
  config = lib.mkIf config.boot.loader.limine.enable {
    boot.loader.supportsInitrdSecrets = true;
    system.build.installBootLoader = "/limine-install";
  };
}
