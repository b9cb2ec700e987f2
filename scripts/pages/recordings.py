"""docs/recordings.md: how recordings arrive, which are read, where files may lie, and why one fails, from the modules that decide it."""

from pages import failures
from sparkcoil import cells, libav, media, recordings, roots, sandbox, sndfile

BY_FFMPEG = ", ".join(sorted(libav.FORMATS))
BY_LIBSNDFILE = ", ".join(sndfile.READABLE)

HEAD = f"""\
# Recordings

<!-- Made from lib/sparkcoil/ by ./scripts/make_docs; do not edit. -->

Every task that hears takes `audio` in each of these forms, with the same result:

| form | column |
|---|---|
| an encoded file | `BINARY`, such as `content` of a `binaryFile` source |
| a file by its path or URI | `STRING`: `/data/calls/a.wav`, `file:/data/calls/a.wav`, `s3a://bucket/calls/a.wav` |
| a file in base64 | `STRING`, with or without `data:...;base64,` before it |
| samples | `ARRAY<FLOAT>` or `ARRAY<DOUBLE>`; their rate is a column under `sampling_rate`, or the option of that name |
| Hugging Face's audio column | `STRUCT<array, sampling_rate>`, or `STRUCT<bytes, path>` |

Any sampling rate from {media.RATES[0]:,} to {media.RATES[-1]:,} Hz and up to {media.CHANNELS[-1]} channels are mixed to mono and brought to
the model's rate. What a file is, its first bytes say, never its name: {BY_LIBSNDFILE} are read with `sparkcoil[audio]`;
{BY_FFMPEG} also need PyAV, `sparkcoil[media]`.

## A folder of recordings

```yaml
name: calls
model:
  uri: models:/transcriber@champion
source:
  path: /data/calls         # a relative one lies in the folder that the job runs in
  format: binaryFile
  # without them files of subfolders are left out, and files of every other kind are rows
  options: {{recursiveFileLookup: true, pathGlobFilter: "*.{{wav,flac}}"}}
  keys: [path]              # as Spark writes it: file:/data/calls/a.wav
  columns: {{audio: content}}
target:
  table: calls_heard
  keep: [modificationTime, length]
```

The source is a root by itself, and executors that see the files open them: Spark reads none of them. A file of which the size or the time
of modification has changed is due again, and equal files are scored each by itself, since they are known by their names. An empty file is a
failed row. Files and folders whose names begin with `_` or `.` Spark takes for its own and leaves out: name such files in a table of paths.

## Files that rows name

A row opens nothing by itself: `source.roots` lists where files may lie, and without it no path is opened.

```yaml
source:
  table: calls
  keys: [id]
  columns: {{audio: file}}
  roots: [/data/calls, "s3a://bucket/calls"]
```

- A folder, such as `/data/calls`: executors see it under the same path, and each opens its rows' files itself, so that no bytes pass
  through Spark. The true path must lie under a root and be a regular file; a link that leads out, `..`, a pipe or a device is a failed row.
- A URI prefix of any file system that Hadoop is configured for, such as `s3a://bucket/calls`: Spark lists and reads what lies under it,
  joins it to the rows by the exact path, and no executor's Python opens a connection. A cell, or a file that crosses so, has at most
  {cells.MAX_CELL_BYTES // 2**20} MiB.
- http(s) and every other scheme are never opened. Read the files into a table first.

A path is absolute, or else its row fails; of a relative one `source.columns` makes one: `{{audio: "concat('/data/calls/', file)"}}`.
A relative root lies in the folder that the job runs in.

A row's `input_hash` is that of the cell. Where that is a path in a column, a file that changes under it does not make the row due again.

## Long recordings

Headers are read first; a recording is decoded when its batch is about to run, and of a long one only the part that the model hears at once,
so that memory does not depend on its length. Recordings longer than `max_seconds` fail.

A Whisper hears windows, by default as long as it can, which share a sixth with each neighbour; texts and times are joined as transformers'
own pipeline joins them. Where nothing is said for longer than two windows share, the join can mistake the next segment's times.

## Why a recording fails

Each is a failed row with `error.stage` `input`, and costs no other row anything: recordings are decoded in a process of their own, which
holds nothing of the executor's environment, and is started anew where a decoder crashes.
"""


def page() -> str:
    """Return the page about recordings."""
    others = {"audio_too_short": "shorter than one frame of the model"}
    table = failures.table("audio", (recordings, cells, roots, media, sandbox), others)
    warning = " ".join(str(media.__doc__).split("\n\n")[-1].split())
    return "\n".join([HEAD, *table, "", "## Recordings that break off", "", warning, ""])
