#!/bin/sh
# In a stage 1 of dracut without systemd: checks the secrets that were appended to this initrd, and brings them to
# their places. A failure is told and does not stop the boot.
/usr/bin/forestage stage1 || warn "not all secrets of the initrd are in place"
