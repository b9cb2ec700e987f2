"""docs/images.md: how images arrive, which are read and what becomes of them, and why one fails, from the modules that decide it."""

from pages import failures
from sparkcoil import cells, images, raster, roots, sandbox
from sparkcoil.engines import seeing

# As they are called outside of Pillow.
NAMES = {"JPEG2000": "JPEG 2000", "PPM": "PNM (PBM, PGM, PPM)", "WEBP": "WebP"}
READ = ", ".join(NAMES.get(each, each) for each in raster.FORMATS)

HEAD = f"""\
# Images

<!-- Made from lib/sparkcoil/ by ./scripts/make_docs; do not edit. -->

Every task that sees takes `image` in each of these forms, with the same result:

| form | column |
|---|---|
| an encoded file | `BINARY`, such as `content` of a `binaryFile` source |
| a file by its path or URI | `STRING`: `/data/photos/a.jpg`, `file:/data/photos/a.jpg`, `s3a://bucket/photos/a.jpg` |
| a file in base64 | `STRING`, with or without `data:...;base64,` before it |
| Hugging Face's image column | `STRUCT<bytes, path>` |

`./scripts/make_tutorials drawings` makes a table and a model to try it on: [labels for images](tutorials.md#labels-for-images).

What a file is, its first bytes say, never its name. Pillow reads {READ};
everything else, such as SVG, PDF, HEIC and TGA, is a failed row, which for most formats says what was found. `sparkcoil[images]` brings
Pillow, torchvision for the models' image processors, and timm for the backbones that DETR and others take from it.

## What becomes of an image

A model sees upright RGB of 8 bits, as transformers' own pipelines make it of the same file; only samples of 16 bits are made otherwise.

| in the file | in the model |
|---|---|
| transparency | left out: the colours that lie under it are seen |
| grey, black and white, palettes, CMYK, YCbCr, Lab | converted into RGB by Pillow's rules; a colour profile is not applied |
| grey of 16 bits, and of 12 in a TIFF | its upper 8 bits, where the pipelines would make all samples above 255 white |
| RGB of 16 bits | its upper 8 bits, as in the pipelines |
| floating point, 32 bits, samples with signs | a failed row, since nothing says which range is black to white |
| EXIF's orientation, in any format | the image is laid upright; EXIF data that are damaged leave it as it is |
| an animation, several pages | the first image |
| an icon in several sizes | the largest |
| an image cut off, or found damaged by its decoder | a failed row: no part of it is seen |
| damage that a format has no check for, as in the middle of a JPEG | seen as it decodes, as in the pipelines; PNG has checksums |

The header is read first, and an image of more pixels than `max_pixels`, {images.MAX_PIXELS:,} where nothing else is said, is failed before
it is decoded. So is one of which a side is more than {seeing.LONGEST_SIDE} times as long as the other. Images are decoded when
their batch is about to run, so that memory does not depend on how many there are.

## A folder of images

```yaml
name: photos
model:
  uri: models:/classifier@champion
source:
  path: /data/photos        # a relative one lies in the folder that the job runs in
  format: binaryFile
  # without them files of subfolders are left out, and files of every other kind are rows
  options: {{recursiveFileLookup: true, pathGlobFilter: "*.{{jpg,png}}"}}
  keys: [path]              # as Spark writes it: file:/data/photos/a.jpg
  columns: {{image: content}}
target:
  table: photos_seen
  keep: [modificationTime, length]
```

The source is a root by itself, and executors that see the files open them: Spark reads none of them. A file of which the size or the time
of modification has changed is due again, and equal files are scored each by itself, since they are known by their names. An empty file is a
failed row. Files and folders whose names begin with `_` or `.`, as those of some cameras do, Spark takes for its own and leaves out: name
such files in a table of paths. A cell has at most {cells.MAX_CELL_BYTES // 2**20} MiB, a file by its path any number.

A row may also name its file, under `source.roots` alone: what may be named, and what never is opened, is the same as for
[recordings](recordings.md#files-that-rows-name).

## Why an image fails

Each is a failed row with `error.stage` `input`, and costs no other row anything: images are decoded in a process of their own, which
holds nothing of the executor's environment, and is started anew where a decoder crashes. No message quotes what the image holds.
"""


def page() -> str:
    """Return the page about images."""
    others = {seeing.TOO_NARROW.code: seeing.TOO_NARROW.message, "image_refused": "the model's image processor takes no image of this size"}
    return "\n".join([HEAD, *failures.table("image", (cells, roots, raster, sandbox), others), ""])
