# A path that is not in the Nix store: what lies there is readable by everybody.
{ lib }:
lib.mkOptionType {
  name = "pathNotInStore";
  description = "path not in the Nix store";
  descriptionClass = "noun";
  check = path: !lib.path.hasStorePathPrefix (/. + path);
  merge = lib.mergeEqualOption;
}
