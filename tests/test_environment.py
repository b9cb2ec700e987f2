"""scripts/environment, sourced: a script stops at its first failing command, a shell in use goes on."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


def shell(command: str, *flags: str, cwd: Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": path} if path else None
    bash = shutil.which("bash")
    return subprocess.run(
        [str(bash), "--norc", *flags, "-c", command], capture_output=True, text=True, cwd=cwd, env=environment, check=False
    )


def test_an_interactive_shell_survives_a_failing_command_and_stays_where_it_is(tmp_path: Path) -> None:
    done = shell(f"source {SCRIPTS}/environment; false; echo $UNSET $PWD; command -v python", "-i", cwd=tmp_path)
    assert done.stdout.splitlines() == [str(tmp_path), str(SCRIPTS.parent / ".venv" / "bin" / "python")]


def test_a_script_stops_at_its_first_failing_command_and_runs_in_the_root(tmp_path: Path) -> None:
    done = shell(f"source {SCRIPTS}/environment; pwd; false; echo still here", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, f"{SCRIPTS.parent}\n")


@pytest.mark.parametrize(("flags", "said"), [(("-i",), "still here: 3\n"), ((), "")])
def test_without_java_it_says_so_and_only_a_script_ends(tmp_path: Path, flags: tuple[str, ...], said: str) -> None:
    for tool in ("dirname", "sed", "head", "id"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    done = shell(f'source {SCRIPTS}/environment; echo "still here: $?"', *flags, cwd=tmp_path, path=str(tmp_path))
    assert done.stdout == said
    assert "sparkcoil needs Java 17 or newer" in done.stderr
