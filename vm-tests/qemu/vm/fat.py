"""A reader of FAT32 as strict as firmware: files of the root directory, and what every crash would have left of them."""

import struct
from itertools import islice


class Broken(Exception):
    """The file cannot be read as its directory entry says."""


class Fat:
    def __init__(self, image):
        self.image = image
        self.sector, self.per_cluster, reserved, fats = struct.unpack_from("<HBHB", image, 11)
        (sectors,) = struct.unpack_from("<I", image, 36)
        (self.root,) = struct.unpack_from("<I", image, 44)
        self.table = reserved * self.sector
        self.data = (reserved + fats * sectors) * self.sector
        self.size = self.per_cluster * self.sector

    def chain(self, cluster):
        seen = 0
        while 2 <= cluster < 0x0FFFFFF7:
            yield cluster
            seen += 1
            if seen > 1 << 20:
                raise Broken("its chain of clusters has a loop")
            cluster = struct.unpack_from("<I", self.image, self.table + 4 * cluster)[0] & 0x0FFFFFFF
        if cluster < 2:
            raise Broken("its chain of clusters leads to free space")

    def _bytes(self, cluster):
        at = self.data + (cluster - 2) * self.size
        return self.image[at : at + self.size]

    def file(self, name):
        """The bytes of the file with this short name (capitals, no suffix); None if there is none."""
        for cluster in self.chain(self.root):
            block = self._bytes(cluster)
            for at in range(0, len(block), 32):
                entry = block[at : at + 32]
                if entry[0] == 0:
                    return None
                if entry[0] == 0xE5 or entry[11] & 0x08 or entry[:11] != name.ljust(11).encode():
                    continue
                high, low, size = struct.unpack_from("<H", entry, 20)[0], *struct.unpack_from("<HI", entry, 26)
                # What is reserved behind the size may lead anywhere: a reader stops where the size says.
                clusters = list(islice(self.chain(high << 16 | low), -(-size // self.size)))
                if len(clusters) * self.size < size:
                    raise Broken("its chain of clusters is shorter than its size")
                return b"".join(self._bytes(cluster) for cluster in clusters)[:size]
        return None


def states(image, log):
    """The image after each write that QEMU's blklogwrites has logged, as (number, image); the image is changed in place."""
    magic, _, entries, sector = struct.unpack_from("<QQQI", log, 0)
    if magic != 0x6A736677736872:
        raise ValueError("this is no log of writes")
    at = sector
    for number in range(entries):
        first, count, flags, _ = struct.unpack_from("<QQQQ", log, at)
        at += sector
        if flags & 4 or not count:
            continue
        image[first * sector : (first + count) * sector] = log[at : at + count * sector]
        at += count * sector
        yield number, image
