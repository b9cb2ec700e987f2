"""Do SQL statements with models as functions.

python jobs/sql.py "SELECT id, topic(body).label FROM docs" --function topic=models:/docstring_topic@champion --on-error null
spark-submit --properties-file conf/spark-defaults.conf jobs/sql.py NAME.sql --function NAME=URI [...]
"""

import typer

from sparkcoil.cli import sql

if __name__ == "__main__":
    typer.run(sql)
