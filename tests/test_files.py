"""Each form of a recording through Spark: samples and structs as they are, files as paths, those of object stores by Spark."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import oracle
import pytest
import soundfile
from canary import Server
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from runs import make_table, text_run

from sparkcoil import cells, files, rows, run, score, udf
from sparkcoil.errors import SourceError
from sparkcoil.sections import SourceConfig

COUNT = 6
SCHEMA = "id BIGINT, name STRING, content BINARY, samples ARRAY<FLOAT>, rate INT"
# A file system of Hadoop's own that shows a local folder under a scheme that is not `file:`, as an object store would.
LAKE = "viewfs://lake/calls"


@pytest.fixture(scope="module")
def folder(examples: Path) -> Path:
    """The folder of the recordings, without links."""
    return (examples / "keypad" / "recordings").resolve()


@pytest.fixture(scope="module")
def expected(spark: SparkSession, examples: Path, folder: Path) -> list[str]:
    """What the native pipeline hears in the recordings, which are in a table in several forms."""
    chosen = sorted(folder.iterdir())[:COUNT]
    made = []
    for i, file in enumerate(chosen):
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
        made.append((i, file.name, file.read_bytes(), samples.mean(axis=1).tolist(), rate))
    make_table(spark, "forms", made, SCHEMA)
    return oracle.transcripts(examples / "models" / "keypad", chosen)


def scored(spark: SparkSession, model: str, columns: Mapping[str, str], into: str, **source: Any) -> list[Any]:
    """Return what a run over the table makes of the rows."""
    given = {"table": "forms", "keys": ["id"], **source, "columns": columns}
    run(spark, text_run(model, "-", into, source=given, rows={"max_failed_share": 1.0}))
    return spark.table(into).orderBy(given["keys"][0]).collect()


def texts(found: list[Any]) -> list[str]:
    assert [row["error"] for row in found] == [None] * len(found)
    return [row["prediction"]["text"] for row in found]


@pytest.mark.parametrize(
    ("form", "columns"),
    [
        ("array", {"audio": "samples", "sampling_rate": "rate"}),
        ("doubles", {"audio": "CAST(samples AS ARRAY<DOUBLE>)", "sampling_rate": "CAST(rate AS DOUBLE)"}),
        ("decoded", {"audio": "named_struct('path', name, 'array', samples, 'sampling_rate', rate)"}),
        ("encoded", {"audio": "named_struct('bytes', content, 'path', name)"}),
    ],
)
def test_samples_and_structs_are_heard(
    spark: SparkSession, audio_model: str, expected: list[str], form: str, columns: Mapping[str, str]
) -> None:
    assert texts(scored(spark, audio_model, columns, f"forms_{form}")) == expected


def test_texts_are_paths_or_base64_and_nothing_else_is_opened(
    spark: SparkSession, audio_model: str, expected: list[str], folder: Path, tmp_path: Path, server: Server
) -> None:
    names = [row["name"] for row in spark.table("forms").orderBy("id").collect()]
    (tmp_path / "canary.wav").write_bytes((folder / names[0]).read_bytes())
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "link.wav").symlink_to(tmp_path / "canary.wav")
    good = [
        str(folder / names[0]),
        f"file:{folder / names[1]}",
        f"file://{folder / names[2]}",
        base64.b64encode((folder / names[3]).read_bytes()).decode(),
        "data:audio/wav;base64," + base64.b64encode((folder / names[4]).read_bytes()).decode(),
    ]
    bad = {
        str(tmp_path / "canary.wav"): "path_outside_roots",
        str(tmp_path / "inside" / "link.wav"): "path_outside_roots",
        f"{folder}/../recordings/{names[0]}": "path_invalid",
        names[0]: "path_invalid",
        str(folder / "missing.wav"): "file_missing",
        str(folder): "not_a_file",
        f"http://127.0.0.1:{server.port}/a.wav": "url_refused",
        f"http://localhost:{server.port}/a.wav": "url_refused",
        f"s3a://127.0.0.1:{server.port}/a.wav": "url_refused",
    }
    make_table(spark, "texts", [*enumerate([*good, *bad]), (99, None)], "id BIGINT, audio STRING")
    invalid = spark.sql("SELECT 100L AS id, CAST(X'2fff61' AS STRING) AS audio")
    invalid.write.format("delta").mode("append").saveAsTable("texts")
    found = scored(spark, audio_model, {"audio": "audio"}, "texts_scored", table="texts", roots=[str(folder), str(tmp_path / "inside")])
    assert texts(found[: len(good)]) == expected[: len(good)]
    assert [row["error"]["code"] for row in found[len(good) :]] == [*bad.values(), "null_input", "invalid_encoding"]
    assert not server.calls


def test_files_of_a_binary_file_source_cross_as_paths(spark: SparkSession, audio_model: str, expected: list[str], folder: Path) -> None:
    chosen = f"{folder}/keypad_000[1-{COUNT}].*"
    found = scored(spark, audio_model, {"audio": "content"}, "files_scored", table=None, path=chosen, format="binaryFile", keys=["path"])
    assert texts(found) == expected


def test_spark_reads_no_file_that_workers_open(spark: SparkSession, folder: Path) -> None:
    fields = {"path": str(folder), "format": "binaryFile", "keys": ["path"], "columns": {"audio": "content"}}
    source, frame = SourceConfig.model_validate(fields), spark.read.format("binaryFile").load(str(folder))
    found = files.crossing(spark, source, frame, {"audio": F.col("content")}, {"audio": frame.schema["content"].dataType})
    selected = rows.select_rows(frame, ["path"], [], **vars(found), salt="s")
    read = selected._jdf.queryExecution().executedPlan().toString().split("ReadSchema: ")[1].split("\n")[0]
    assert "content" not in read
    sent = selected.limit(1).collect()[0]["__inputs"]["audio"]
    assert sent["path"].startswith(f"file:{folder}".encode())


@pytest.fixture
def lake(spark: SparkSession, folder: Path) -> None:
    """Show the recordings as a file system of another scheme."""
    spark.sparkContext._jsc.hadoopConfiguration().set("fs.viewfs.mounttable.lake.link./calls", f"file://{folder}")


@pytest.mark.long("outside")
def test_files_of_other_file_systems_are_read_by_spark(spark: SparkSession, audio_model: str, expected: list[str], lake: None) -> None:
    columns = {"audio": f"concat('{LAKE}/', if(id = 0, 'missing.wav', name))"}
    found = scored(spark, audio_model, columns, "lake_scored", roots=[LAKE])
    assert found[0]["error"]["code"] == "file_missing"
    assert texts(found[1:]) == expected[1:]
    refused = scored(spark, audio_model, {"audio": f"concat('{LAKE}-private/', name)"}, "lake_refused", roots=[LAKE])
    assert {row["error"]["code"] for row in refused} == {"url_refused"}


def test_score_takes_roots_too(spark: SparkSession, audio_model: str, expected: list[str], folder: Path) -> None:
    frame = spark.table("forms").where("id < 2").select("id", F.concat(F.lit(f"{folder}/"), "name").alias("file"))
    found = score(frame, audio_model, keys="id", columns={"audio": "file"}, roots=[str(folder)]).orderBy("id").collect()
    assert texts(found) == expected[:2]


def test_a_root_that_spark_cannot_list_is_refused_before_the_first_row(spark: SparkSession, lake: None) -> None:
    with pytest.raises(SourceError, match=r"^source.roots: viewfs://lake/calls/missing/: Spark cannot list its files: "):
        files.check(spark, [f"{LAKE}/missing/"])


def test_a_root_that_is_not_there_is_refused_before_the_first_row(spark: SparkSession, folder: Path) -> None:
    files.check(spark, [str(folder)])
    with pytest.raises(SourceError, match=rf"^source.roots: {folder}x: there is no such folder$"):
        files.check(spark, [str(folder), f"{folder}x"])


def test_an_empty_file_is_a_failed_row_also_where_it_was_scored_before(
    spark: SparkSession, audio_model: str, folder: Path, tmp_path: Path
) -> None:
    for i, file in enumerate(sorted(folder.iterdir())[:2]):
        (tmp_path / f"{i}.wav").write_bytes(file.read_bytes() if i else b"")
    given: dict[str, Any] = {"table": None, "path": str(tmp_path), "format": "binaryFile", "keys": ["path"]}
    empty, full = scored(spark, audio_model, {"audio": "content"}, "emptied_scored", **given)
    assert (empty["error"]["code"], full["error"]) == ("empty_audio", None)
    (tmp_path / "1.wav").write_bytes(b"")
    found = scored(spark, audio_model, {"audio": "content"}, "emptied_scored", **given)
    assert [row["error"]["code"] for row in found] == ["empty_audio"] * 2


def as_sent(frame: DataFrame, column: str) -> list[Any]:
    kind = frame.schema[column].dataType
    return [row["sent"] for row in frame.select(files.as_sent(F.col(column), kind).alias("sent")).collect()]


def test_a_cell_too_large_to_be_sent_is_sent_as_its_size(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_CELL_BYTES", 3)
    frame = spark.sql(
        "SELECT X'010203' AS a, X'01020304' AS b, 'abc' AS c, 'äbc' AS d, named_struct('bytes', X'01020304', 'path', 'abcd') AS e, "
        "CAST(NULL AS BINARY) AS f, array(0.5f) AS g"
    )
    assert as_sent(frame, "a") == [(b"\x01\x02\x03", 3)]
    assert as_sent(frame, "b") == [(None, 4)]
    assert as_sent(frame, "c") == [(b"abc", 3)]
    assert as_sent(frame, "d") == [(None, 4)]
    assert as_sent(frame, "e") == [(None, b"abcd", 4)]
    assert as_sent(frame, "f") == [None]
    assert as_sent(frame, "g") == [[0.5]]
    assert cells.MAX_CELL_BYTES == 2**28


def test_a_file_too_large_to_be_sent_is_not_read(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, lake: None, expected: list[str]
) -> None:
    sizes = {row["name"]: len(row["content"]) for row in spark.table("forms").collect()}
    limit = sorted(sizes.values())[2]
    monkeypatch.setattr(files, "MAX_CELL_BYTES", limit)
    frame = spark.table("forms").select("name", F.concat(F.lit(f"{LAKE}/"), "name").alias("audio"))
    sent = frame.select("name", udf.struct_of_inputs({"audio": F.col("audio")}, {"audio": frame.schema["audio"].dataType}).alias("inputs"))
    read = files.with_contents(sent, "inputs", [f"{LAKE}/"]).collect()
    found = {row["name"]: (row["inputs"]["audio"]["bytes"], row["inputs"]["audio"]["size"]) for row in read}
    assert {name: size for name, (_, size) in found.items()} == sizes
    assert {name for name, (content, _) in found.items() if content is None} == {name for name, size in sizes.items() if size > limit}


@pytest.mark.parametrize(
    ("path", "folder"),
    [("/data/calls", "/data/calls"), ("/data/calls/2024-*/a.wav", "/data/calls/"), ("/data/{a,b}/c", "/data/"), ("*.wav", ".")],
)
def test_the_root_of_a_pattern_is_the_folder_before_it(path: str, folder: str) -> None:
    assert files.before_glob(path) == folder


def test_a_root_under_another_is_listed_once() -> None:
    assert files.remote(["s3a://b/a/", "s3a://b/a/x/", "/data", "s3a://b/ab/"]) == ["s3a://b/a/", "s3a://b/ab/"]
