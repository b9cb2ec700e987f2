"""text2text-generation: a sequence-to-sequence model answers a text with a text."""

from sparkcoil import generation
from sparkcoil.tasks import Input, Task

TASK = Task(
    name="text2text-generation",
    inputs=(Input("text", ("string",)), *generation.ROW_OPTIONS),
    prediction=generation.PREDICTION,
    options=generation.Seq2seqOptions,
    engine="seq2seq",
    heads=generation.SEQ2SEQ_HEADS,
    read=generation.read_prefixed,
    write=generation.write,
)
