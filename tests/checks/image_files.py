"""What LoadCased and CheckCased are given: training, evaluation and inference all read through them."""

import gzip
import struct

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from monai.transforms import Compose, EnsureChannelFirstd

from dam_components.transforms import CheckCased, LoadCased
from tests.checks.table import refused, taken

PLACE = "Image files"
VOXELS = np.random.default_rng(0).normal(100, 10, (8, 9, 6)).astype(np.float32)
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])


def write(file, array=VOXELS, affine=AFFINE, **header):
    image = nib.Nifti1Image(array, affine)
    for name, value in header.items():
        image.header[name] = value
    nib.save(image, file)
    return file


def read(*files, channels=1):
    steps = [
        LoadCased("image"),
        EnsureChannelFirstd("image"),
        CheckCased("image", image_channels=channels, num_classes=2, spatial_dims=3),
    ]
    names = [str(file) for file in files]
    return Compose(steps)({"image": names if len(names) > 1 else names[0]})["image"]


def spoil(file, change):
    """Changes the bytes of a file, those inside the compression where there is one."""
    packed = file.suffix == ".gz"
    raw = bytearray(gzip.decompress(file.read_bytes()) if packed else file.read_bytes())
    change(raw)
    file.write_bytes(gzip.compress(bytes(raw)) if packed else bytes(raw))
    return file


def put(place, kind, *values):
    """Writes numbers at a place of the NIfTI header."""
    return lambda raw: struct.pack_into(f"<{len(values)}{kind}", raw, place, *values)


@refused(PLACE, "a file that is not there", "does not exist")
def _(tmp_path):
    read(tmp_path / "absent.nii.gz")


@refused(PLACE, "an empty file", "cannot be read")
def _(tmp_path):
    (tmp_path / "a.nii.gz").touch()
    read(tmp_path / "a.nii.gz")


@refused(PLACE, "a text under an image's name", "cannot be read")
def _(tmp_path):
    (tmp_path / "a.nii").write_text("not an image")
    read(tmp_path / "a.nii")


@refused(PLACE, "a web page saved as .nii.gz (an expired link)", "cannot be read")
def _(tmp_path):
    (tmp_path / "a.nii.gz").write_text("<html>403</html>" * 100)
    read(tmp_path / "a.nii.gz")


@refused(PLACE, ".nii.gz that is not compressed", "cannot be read")
def _(tmp_path):
    write(tmp_path / "a.nii").rename(tmp_path / "a.nii.gz")
    read(tmp_path / "a.nii.gz")


@refused(PLACE, ".nii.gz cut short (a broken download)", "cannot be read: it is cut short")
def _(tmp_path):
    file = write(tmp_path / "a.nii.gz")
    file.write_bytes(file.read_bytes()[:-300])
    read(file)


@refused(PLACE, ".nii.gz without its last 8 bytes (checksum and size)", "cannot be read: it is cut short")
def _(tmp_path):
    file = write(tmp_path / "a.nii.gz")
    file.write_bytes(file.read_bytes()[:-8])
    read(file)


@refused(PLACE, ".nii.gz with a wrong checksum", "CRC check failed")
def _(tmp_path):
    file = write(tmp_path / "a.nii.gz")
    raw = bytearray(file.read_bytes())
    raw[-8] ^= 1
    file.write_bytes(raw)
    read(file)


@refused(PLACE, ".nii.gz of which any one bit is flipped (60 places)", "cannot be read")
def _(tmp_path):
    file = write(tmp_path / "a.nii.gz")
    whole = file.read_bytes()
    messages = []
    for place in np.linspace(10, len(whole) - 1, 60).astype(int):  # before it, gzip keeps a time and a name
        raw = bytearray(whole)
        raw[place] ^= 1 << int(place) % 8
        file.write_bytes(raw)
        try:
            seen = read(file)
        except Exception as error:
            messages.append(error)
            last = error
        else:
            np.testing.assert_array_equal(seen[0], VOXELS)  # a bit of the name or the time: nothing is lost
    assert len(messages) >= 57
    raise last


@refused(PLACE, ".nii.gz with something behind it", "cannot be read")
def _(tmp_path):
    file = write(tmp_path / "a.nii.gz")
    file.write_bytes(file.read_bytes() + b"more")
    read(file)


@refused(PLACE, ".nii cut short", "its header claims")
def _(tmp_path):
    file = write(tmp_path / "a.nii")
    file.write_bytes(file.read_bytes()[:-4])
    read(file)


@refused(PLACE, ".nii with something behind its voxels", "holds more than")
def _(tmp_path):
    file = write(tmp_path / "a.nii")
    file.write_bytes(file.read_bytes() + b"more")
    read(file)


@refused(PLACE, "a header that claims 750 x 750 x 750 voxels", "its header claims")
def _(tmp_path):
    read(spoil(write(tmp_path / "a.nii.gz"), put(40, "h", 3, 750, 750, 750)))


@refused(PLACE, "a header that claims fewer voxels than there are", "holds more than")
def _(tmp_path):
    read(spoil(write(tmp_path / "a.nii.gz"), put(42, "h", 7)))


@refused(PLACE, "a header with another number type", "its header claims")
def _(tmp_path):
    read(spoil(write(tmp_path / "a.nii.gz"), put(70, "h", 64, 64)))


@refused(PLACE, "a header with a number type that NIfTI does not have", "cannot be read")
def _(tmp_path):
    read(spoil(write(tmp_path / "a.nii.gz"), put(70, "h", 999)))


@refused(PLACE, "a header with an axis of length 0", "holds no voxel")
def _(tmp_path):
    read(spoil(write(tmp_path / "a.nii.gz"), put(42, "h", 0)))


@refused(PLACE, "a header with a negative axis", "holds no voxel")
def _(tmp_path):
    read(spoil(write(tmp_path / "a.nii.gz"), put(42, "h", -8)))


@taken(PLACE, "a header that gets its own length wrong (sizeof_hdr)", "read: the rest of it holds")
def _(tmp_path):
    seen = read(spoil(write(tmp_path / "a.nii.gz"), put(0, "i", 12)))
    np.testing.assert_array_equal(seen[0], VOXELS)


@refused(PLACE, "an affine of zeros", "has an affine that places no voxel")
def _(tmp_path):
    read(spoil(write(tmp_path / "a.nii.gz"), put(280, "f", *[0.0] * 12)))


@refused(PLACE, "an affine with a row of zeros (two axes on one line)", "has an affine that places no voxel")
def _(tmp_path):
    read(spoil(write(tmp_path / "a.nii.gz"), put(280, "f", *[0.0] * 4)))


@refused(PLACE, "an affine with NaN", "has an affine that places no voxel")
def _(tmp_path):
    read(spoil(write(tmp_path / "a.nii.gz"), put(284, "f", float("nan"))))


@refused(PLACE, "an affine with infinity", "has an affine that places no voxel")
def _(tmp_path):
    read(spoil(write(tmp_path / "a.nii.gz"), put(292, "f", float("inf"))))


@refused(PLACE, "an origin 1000 km away", "lies 1e+09 mm away from its origin")
def _(tmp_path):
    read(spoil(write(tmp_path / "a.nii.gz"), put(292, "f", 1e9)))


@refused(PLACE, "a slope of 1e30", "its number type or its slope (scl_slope) is damaged")
def _(tmp_path):
    read(spoil(write(tmp_path / "a.nii.gz"), put(112, "f", 1e30)))


@refused(PLACE, "floating point numbers that the header calls integers", "its number type or its slope (scl_slope) is")
def _(tmp_path):
    read(spoil(write(tmp_path / "a.nii.gz"), put(70, "h", 8)))


@taken(PLACE, "a slope of NaN or infinity", "no slope, as the format says")
def _(tmp_path):
    for slope in (float("nan"), float("inf")):
        seen = read(spoil(write(tmp_path / "a.nii.gz"), put(112, "f", slope)))
        np.testing.assert_array_equal(seen[0], VOXELS)


@refused(PLACE, "voxels of 1e-6 mm (metres taken for millimetres)", "set the spacing in millimetres")
def _(tmp_path):
    read(write(tmp_path / "a.nii.gz", affine=AFFINE * [1e-6, 1e-6, 1e-6, 1]))


@refused(PLACE, "voxels of several metres", "set the spacing in millimetres")
def _(tmp_path):
    read(write(tmp_path / "a.nii.gz", affine=AFFINE * [5e3, 5e3, 5e3, 1]))


@refused(PLACE, "a spacing that pixdim and the affine tell differently", "set both alike")
def _(tmp_path):
    read(spoil(write(tmp_path / "a.nii.gz"), put(80, "f", 3.0)))


@refused(PLACE, "a header in micrometres", "measures in microns")
def _(tmp_path):
    read(write(tmp_path / "a.nii.gz", xyzt_units=3))


@refused(PLACE, "a header in metres", "measures in meters")
def _(tmp_path):
    read(write(tmp_path / "a.nii.gz", xyzt_units=1))


@taken(PLACE, "a header that names no unit (IBSR18)", "taken for millimetres, as every program does")
def _(tmp_path):
    assert float(read(write(tmp_path / "a.nii.gz", xyzt_units=0)).pixdim[2]) == 2


@refused(PLACE, "a cine: 12 frames, 40 ms apart", "holds 12 frames in time, 40 msec apart, and no channels")
def _(tmp_path):
    cine = write(tmp_path / "a.nii.gz", np.stack([VOXELS] * 12, -1), xyzt_units=18)
    read(spoil(cine, put(92, "f", 40.0)), channels=12)


@refused(PLACE, "fMRI: 5 volumes, 2.5 s apart", "holds 5 frames in time, 2.5 sec apart")
def _(tmp_path):
    series = write(tmp_path / "a.nii.gz", np.stack([VOXELS] * 5, -1), xyzt_units=10)
    read(spoil(series, put(92, "f", 2.5)), channels=5)


@taken(PLACE, "four channels in a file whose header says seconds, as ITK writes, step 1", "four channels")
def _(tmp_path):
    file = write(tmp_path / "a.nii.gz", np.stack([VOXELS] * 4, -1), xyzt_units=10)
    assert len(read(file, channels=4)) == 4


@taken(PLACE, "one trailing axis of length 1 (IBSR18)", "a volume of three axes")
def _(tmp_path):
    assert read(write(tmp_path / "a.nii.gz", VOXELS[..., None])).shape == (1, *VOXELS.shape)


@taken(PLACE, "several trailing axes of length 1", "a volume of three axes")
def _(tmp_path):
    assert read(write(tmp_path / "a.nii.gz", VOXELS[..., None, None, None])).shape == (1, *VOXELS.shape)


@taken(PLACE, "channels on the fifth axis, as ITK writes vectors", "channels")
def _(tmp_path):
    file = write(tmp_path / "a.nii.gz", np.stack([VOXELS, 2 * VOXELS], -1)[..., None, :])
    np.testing.assert_array_equal(read(file, channels=2)[1], 2 * VOXELS)


@taken(PLACE, "a file name in capitals, .NII.GZ", "read")
def _(tmp_path):
    write(tmp_path / "a.nii.gz").rename(tmp_path / "A.NII.GZ")
    np.testing.assert_array_equal(read(tmp_path / "A.NII.GZ")[0], VOXELS)


@taken(PLACE, "a pair .hdr and .img, by either name", "read")
def _(tmp_path):
    nib.save(nib.Nifti1Pair(VOXELS, AFFINE), tmp_path / "a.img")
    for name in ("a.img", "a.hdr"):
        np.testing.assert_array_equal(read(tmp_path / name)[0], VOXELS)


@refused(PLACE, "a pair whose .img is missing", "cannot be read")
def _(tmp_path):
    nib.save(nib.Nifti1Pair(VOXELS, AFFINE), tmp_path / "a.img")
    (tmp_path / "a.img").unlink()
    read(tmp_path / "a.hdr")


@refused(PLACE, "a pair whose .hdr is missing", "cannot be read")
def _(tmp_path):
    nib.save(nib.Nifti1Pair(VOXELS, AFFINE), tmp_path / "a.img")
    (tmp_path / "a.hdr").unlink()
    read(tmp_path / "a.img")


@refused(PLACE, "a pair whose .img is cut short", "its header claims")
def _(tmp_path):
    nib.save(nib.Nifti1Pair(VOXELS, AFFINE), tmp_path / "a.img")
    (tmp_path / "a.img").write_bytes((tmp_path / "a.img").read_bytes()[:-9])
    read(tmp_path / "a.hdr")


@taken(PLACE, "numbers in big endian", "the same voxels")
def _(tmp_path):
    image = nib.Nifti1Image(VOXELS.astype(">f4"), AFFINE, nib.Nifti1Header(endianness=">"))
    nib.save(image, tmp_path / "a.nii")
    np.testing.assert_array_equal(read(tmp_path / "a.nii")[0], VOXELS)


@taken(PLACE, "integers with slope and offset", "the scaled voxels")
def _(tmp_path):
    image = nib.Nifti1Image(np.arange(432, dtype=np.int16).reshape(8, 9, 6), AFFINE)
    image.header.set_slope_inter(0.5, -10)
    nib.save(image, tmp_path / "a.nii.gz")
    np.testing.assert_allclose(read(tmp_path / "a.nii.gz")[0], nib.load(tmp_path / "a.nii.gz").get_fdata())


@taken(PLACE, "int64 and float64 voxels", "float32")
def _(tmp_path):
    for kind in (np.int64, np.float64):
        image = nib.Nifti1Image(VOXELS.astype(kind), AFFINE, dtype=kind)
        nib.save(image, tmp_path / "a.nii.gz")
        np.testing.assert_allclose(read(tmp_path / "a.nii.gz")[0], VOXELS.astype(kind), rtol=1e-6)


@refused(PLACE, "NaN voxels", "holds NaN or infinite voxels")
def _(tmp_path):
    array = VOXELS.copy()
    array[1, 2, 3] = np.nan
    read(write(tmp_path / "a.nii.gz", array))


@refused(PLACE, "infinite voxels", "holds NaN or infinite voxels")
def _(tmp_path):
    array = VOXELS.copy()
    array[1, 2, 3] = np.inf
    read(write(tmp_path / "a.nii.gz", array))


@refused(PLACE, "colours (RGB)", "holds colours")
def _(tmp_path):
    rgb = np.zeros((4, 4, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    read(write(tmp_path / "a.nii.gz", rgb))


@refused(PLACE, "complex numbers", "holds complex numbers")
def _(tmp_path):
    read(write(tmp_path / "a.nii.gz", VOXELS.astype(np.complex64)))


@refused(PLACE, "a slice where a volume is asked for", "has 2 dimensions, the configuration expects 3")
def _(tmp_path):
    read(write(tmp_path / "a.nii.gz", VOXELS[..., 0]))


@refused(PLACE, "two channels where S takes one", "has 2 channels, the configuration expects 1")
def _(tmp_path):
    read(write(tmp_path / "a.nii.gz", np.stack([VOXELS, VOXELS], -1)))


@refused(PLACE, "one channel where S takes two", "has 1 channels, the configuration expects 2")
def _(tmp_path):
    read(write(tmp_path / "a.nii.gz"), channels=2)


@refused(PLACE, "two channel files of different shape", "does not fit its other channels")
def _(tmp_path):
    read(write(tmp_path / "a.nii.gz"), write(tmp_path / "b.nii.gz", VOXELS[1:]), channels=2)


@refused(PLACE, "two channel files in different places", "does not fit its other channels")
def _(tmp_path):
    moved = AFFINE.copy()
    moved[0, 3] = 5
    read(write(tmp_path / "a.nii.gz"), write(tmp_path / "b.nii.gz", affine=moved), channels=2)


@refused(PLACE, "one damaged file among the channels, which is the one named", "b.nii.gz cannot be read")
def _(tmp_path):
    file = write(tmp_path / "b.nii.gz")
    file.write_bytes(file.read_bytes()[:-9])
    read(write(tmp_path / "a.nii.gz"), file, channels=2)


def write_itk(file, packed):
    image = sitk.GetImageFromArray(VOXELS.T)
    image.SetSpacing((1.0, 1.0, 2.0))
    sitk.WriteImage(image, str(file), packed)
    return file


@taken(PLACE, "MetaImage and NRRD, compressed or not, in one file or two", "read")
def _(tmp_path):
    for name in ("a.mha", "a.mhd", "a.nrrd"):
        for packed in (False, True):
            np.testing.assert_array_equal(read(write_itk(tmp_path / f"{packed}{name}", packed))[0], VOXELS)


def itk_faults(name, packed):
    suffix = f"{name}, {'compressed' if packed else 'plain'}"

    @refused(PLACE, f"{suffix}: cut short", "its header claims")
    def _(tmp_path):
        file = write_itk(tmp_path / f"a{name}", packed)
        voxels = file if name != ".mhd" else file.with_suffix(".zraw" if packed else ".raw")
        voxels.write_bytes(voxels.read_bytes()[:-20])
        read(file)

    @refused(PLACE, f"{suffix}: a header that claims 750 x 750 x 750 voxels", "its header claims")
    def _(tmp_path):
        file = write_itk(tmp_path / f"a{name}", packed)
        file.write_bytes(file.read_bytes().replace(b"8 9 6", b"750 750 750", 1))
        read(file)

    if packed:

        @refused(PLACE, f"{suffix}: a flipped bit in the voxels", "cannot be read: it is damaged")
        def _(tmp_path):
            file = write_itk(tmp_path / f"a{name}", packed)
            voxels = file if name != ".mhd" else file.with_suffix(".zraw")
            raw = bytearray(voxels.read_bytes())
            raw[-100] ^= 4
            voxels.write_bytes(raw)
            read(file)


for ending in (".mha", ".mhd", ".nrrd"):
    for zipped in (False, True):
        itk_faults(ending, zipped)


@refused(PLACE, ".mhd without its .raw", "which are not beside it")
def _(tmp_path):
    file = write_itk(tmp_path / "a.mhd", False)
    (tmp_path / "a.raw").unlink()
    read(file)


@taken(PLACE, "voxels of every kind in MetaImage and NRRD", "read")
def _(tmp_path):
    kinds = [f"{sign}int{bits}" for bits in (8, 16, 32, 64) for sign in ("", "u")]
    for kind in (*kinds, "float32", "float64"):
        voxels = np.arange(60, dtype=kind).reshape(3, 4, 5)
        for ending in ("mha", "mhd", "nrrd"):
            sitk.WriteImage(sitk.GetImageFromArray(voxels), tmp_path / f"{kind}.{ending}")
            np.testing.assert_array_equal(np.asarray(read(tmp_path / f"{kind}.{ending}")).ravel(order="F"), range(60))
    header = (tmp_path / "int32.mhd").read_text()
    (tmp_path / "long.mhd").write_text(header.replace("MET_INT", "MET_LONG"))  # four bytes, on every machine
    assert np.asarray(read(tmp_path / "long.mhd")).sum() == sum(range(60))


@refused(PLACE, "a text under the name .mha", "cannot be read: its header has no end")
def _(tmp_path):
    (tmp_path / "a.mha").write_text("not an image")
    read(tmp_path / "a.mha")


@refused(PLACE, "a text under the name .nrrd", "cannot be read")
def _(tmp_path):
    (tmp_path / "a.nrrd").write_text("not an image")
    read(tmp_path / "a.nrrd")


@refused(PLACE, "a blank image: every voxel has one value", "is blank: every voxel is 7")
def _(tmp_path):
    read(write(tmp_path / "a.nii.gz", VOXELS * 0 + 7))
