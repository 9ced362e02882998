"""Real boots under QEMU: what the scenarios in ../scenarios stand on.

    newc.py      cpio archives: writing, and a strict unpacker that foretells what the kernel does
    debian.py    a Debian tree and a kernel, from packages, in the cache
    images.py    initrds and disks made of that tree
    boot.py      one boot: QEMU, its time limit, what the guest told
    kit.py       what a scenario gets: its directory, keys, sops files, the program under test
    runner.py    finds scenarios, runs them, prints a line each
"""
