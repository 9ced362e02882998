#!/bin/bash
# A dracut module: adds the program, the unit, and the list of what the initrd should have. No secrets: what is
# copied here passes through a work directory on disk. They are appended to the finished image.
# docs/initrd-on-other-distributions.md

check() {
    [[ -e ${dracutsysrootdir-}/etc/forestage/initrd-manifest.json ]] || return 1
    require_binaries /usr/bin/forestage || return 1
    return 0
}

depends() {
    return 0
}

install() {
    inst /usr/bin/forestage
    mkdir -p "$initdir/etc/forestage"
    "${dracutsysrootdir-}/usr/bin/forestage" initrd expect \
        --manifest "${dracutsysrootdir-}/etc/forestage/initrd-manifest.json" >"$initdir/etc/forestage/initrd.json" || return 1
    if dracut_module_included systemd; then
        inst_simple "${systemdsystemunitdir:?}/forestage-stage1.service"
        ${SYSTEMCTL:?} -q --root "$initdir" enable forestage-stage1.service
    else
        inst_hook pre-udev 00 "${moddir:?}/stage1.sh"
    fi
}
