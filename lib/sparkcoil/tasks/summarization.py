"""summarization: a text gets its summary."""

from sparkcoil import generation
from sparkcoil.tasks import Input, Task

TASK = Task(
    name="summarization",
    inputs=(Input("text", ("string",)), *generation.ROW_OPTIONS),
    prediction=generation.PREDICTION,
    options=generation.Seq2seqOptions,
    engine="seq2seq",
    heads=generation.SEQ2SEQ_HEADS,
    read=generation.read_prefixed,
    write=generation.write,
)
