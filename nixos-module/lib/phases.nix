# Which secrets and templates each phase has.
{ config, lib }:
let
  cfg = config.sops;
  paths = import ./paths.nix;
  entriesOf = phase: lib.filterAttrs (_: entry: paths.phaseOf entry == phase);
in
lib.mapAttrs (phase: places: rec {
  inherit (places) mountPoint symlink;
  secrets = entriesOf phase cfg.secrets;
  templates = entriesOf phase cfg.templates;
  # Whether anything is set up.
  exists = secrets != { } || templates != { };
}) paths.phases
