"""cpio archives of the newc format: writing, and a strict unpacker that foretells what the kernel lands.

The unpacker knows the uncompressed archives behind a given offset. It is held against real kernels by the
scenario `damage`.
"""

import stat

TRAILER = "TRAILER!!!"


def head(name, mode, uid, gid, size, inode, mtime=1, device=(0, 0), links=1):
    encoded = name.encode() + b"\0"
    fields = (inode, mode, uid, gid, links, mtime, size, 0, 0, *device, len(encoded), 0)
    text = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
    return text + bytes(-len(text) % 4)


def parents(name):
    words = name.split("/")[:-1]
    return ("/".join(words[: count + 1]) for count in range(len(words)))


class Archive:
    """An archive that is written in memory; parents come by themselves."""

    def __init__(self):
        self.parts = []
        self.seen = set()
        self.links = set()

    def _add(self, path, mode, data=b"", uid=0, gid=0):
        name = path.strip("/")
        parent = name.rpartition("/")[0]
        if parent and parent not in self.seen:
            self.directory(parent)
        if any(above in self.links for above in parents(name)):
            raise ValueError(f"{path} lies below a symlink")
        self.seen.add(name)
        if stat.S_ISLNK(mode):
            self.links.add(name)
        links = 2 if stat.S_ISDIR(mode) else 1
        self.parts.append(head(name, mode, uid, gid, len(data), len(self.parts) + 1, links=links))
        self.parts.append(data + bytes(-len(data) % 4))

    def directory(self, path, mode=0o755):
        if path.strip("/") not in self.seen:
            self._add(path, stat.S_IFDIR | mode)

    def file(self, path, data, mode=0o644, uid=0, gid=0):
        self._add(path, stat.S_IFREG | mode, data.encode() if isinstance(data, str) else data, uid, gid)

    def link(self, path, target):
        self._add(path, stat.S_IFLNK | 0o777, target.encode())

    def copy(self, source, path):
        """A file of the host; a symlink stays one."""
        if source.is_symlink():
            self.link(path, str(source.readlink()))
        else:
            self.file(path, source.read_bytes(), stat.S_IMODE(source.stat().st_mode))

    def bytes(self):
        return b"".join(self.parts) + head(TRAILER, 0, 0, 0, 0, 0, mtime=0)


class Unpacked:
    """What the kernel lands: path -> (mode with type, uid, gid, size, bytes); and why it stopped early, if it did. A
    directory has no size, and a large file (LARGE) no bytes."""

    def __init__(self):
        self.entries = {}
        self.complaint = None


# A flipped bit makes a file of gigabytes, which nobody wants to have in memory.
LARGE = 4 << 20


def unpack(data):
    """Unpacks uncompressed archives as init/initramfs.c does."""
    result = Unpacked()
    at = 0
    while at < len(data):
        if data[at] == 0:
            at += 1
            continue
        if at % 4 or data[at] != ord("0"):
            result.complaint = "no archive where one should begin"
            return result
        at = _archive(data, at, result)
        if at is None:
            return result
    return result


def _archive(data, at, result):
    """One archive up to its trailer; the offset behind it, or None when the kernel stops."""
    while True:
        # Between entries zeros are skipped, but the kernel's state machine only does so at the next header's place.
        while at < len(data) and data[at] == 0:
            at += 1
        if at >= len(data):
            return None
        header = data[at : at + 110]
        if len(header) < 110:
            return None
        if header[:6] not in (b"070701", b"070702"):
            result.complaint = "no cpio magic"
            return None
        fields = [_number(header[6 + 8 * i : 14 + 8 * i]) for i in range(13)]
        mode, uid, gid, size, name_size = fields[1], fields[2], fields[3], fields[6], fields[11]
        name_at = at + 110
        body = (name_at + name_size + 3) & ~3
        following = (body + size + 3) & ~3
        regular, link = stat.S_ISREG(mode), stat.S_ISLNK(mode)
        if name_size == 0 or name_size > 4096 or (size and not regular and not link) or (link and size > 4096):
            # Such an entry is skipped with its body.
            if following > len(data):
                return None
            at = following
            continue
        name = data[name_at : name_at + name_size]
        if len(name) < name_size or body > len(data) and not regular:
            return None
        name = name.split(b"\0")[0].decode(errors="surrogateescape")
        at = following
        if name == TRAILER:
            return _behind_trailer(data, at)
        path = "/" + name
        parent = path.rpartition("/")[0] or "/"
        if regular:
            if parent in result.entries or parent == "/":
                # A file whose archive ends early has its size, and zeros where there was nothing.
                content = data[body : body + size].ljust(size, b"\0") if size <= LARGE else None
                result.entries[path] = (mode & 0o177777, uid, gid, size, content)
            if body + size > len(data):
                return None
        elif stat.S_ISDIR(mode) and (parent in result.entries or parent == "/"):
            result.entries[path] = (mode & 0o177777, uid, gid, None, None)


def _behind_trailer(data, at):
    while at < len(data) and data[at] == 0:
        at += 1
    return at


def _number(digits):
    """As simple_strtoul reads it: up to the first character that is no digit."""
    value = 0
    for digit in digits:
        if digit not in b"0123456789abcdefABCDEF":
            break
        value = value * 16 + int(chr(digit), 16)
    return value
