# Users and groups of the initrd, as numbers: when the segment is made, the initrd's own /etc/passwd cannot be read.
{ config, lib }:
let
  initrd = config.boot.initrd.systemd;
  # nixpkgs takes ids of the initrd from those of the machine, and fails where these have no number yet.
  number =
    value:
    let
      tried = builtins.tryEval value;
    in
    if tried.success && builtins.isInt tried.value then tried.value else null;
  digits = name: builtins.match "[0-9]+" name != null;
  user = name: if initrd.users ? ${name} then number initrd.users.${name}.uid else null;
  group = name: if initrd.groups ? ${name} then number initrd.groups.${name}.gid else null;
  find =
    known: who:
    if who == null then
      0
    else if builtins.isInt who then
      who
    else if digits who then
      lib.toInt who
    else if who == "root" then
      0
    else
      known who;
  orRoot = id: if id == null then 0 else id;
  groupOf =
    { owner, group, ... }:
    if group != null then
      group
    else if builtins.isString owner && initrd.users ? ${owner} then
      initrd.users.${owner}.group
    else
      null;
in
{
  # Whether all names have numbers.
  known =
    entry: find user entry.owner != null && find group (groupOf entry) != null;
  uid = entry: orRoot (find user entry.owner);
  gid = entry: orRoot (find group (groupOf entry));
}
