select module, qualname, prediction.label as topic, prediction.score, model_version, scored_at
from {{ source('scoring', 'docstrings_scored') }}
where status = 'ok'
