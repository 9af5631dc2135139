"""The command itself: what it offers, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from fresh import Python

from pyg_negsamp import __version__, cli
from pyg_negsamp.cli import COMMANDS, main
from pyg_negsamp.training import NonFiniteLossError


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_sub_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: pyg-negsamp {name}")
    assert f"pyg-negsamp {name}" in said.split("\n\n", 2)[2]  # an example stands in it


def test_the_command_lists_its_sub_commands(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--help"]):
        with pytest.raises(SystemExit) as stopped:
            main(words)
        assert stopped.value.code == 0
        said = capsys.readouterr().out
        assert all(name in said for name in COMMANDS)
    with pytest.raises(SystemExit):
        main(["--version"])
    assert __version__ in capsys.readouterr().out


OWN = """
import gc, sys
from pyg_negsamp.cli import main
given = ["data", "describe", "--dataset", "tiny"]
sys.argv[1:] = given
imported = [[] for _ in range(20_000)]  # the process has most modules from the one it is a fork of
main(given if {asked} else None)
print(gc.isenabled(), gc.get_freeze_count())
"""


@pytest.mark.parametrize("asked", [False, True])
def test_only_where_the_process_is_its_own_it_keeps_imports_from_the_garbage_collector(
    asked: bool, tmp_path: Path
) -> None:
    before = Python("-c", "import gc; print(gc.get_freeze_count())", folder=tmp_path).wait()
    ended = Python("-c", OWN.format(asked=asked), folder=tmp_path).wait()
    enabled, frozen = ended.stdout.split()[-2:]
    assert (ended.returncode, enabled) == (0, "True")
    assert (int(frozen) > int(before.stdout) + 10_000) == (not asked)


def test_an_unknown_sub_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["trian"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "trian" in said
    assert said.endswith("did you mean 'train'?\n")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ValueError("Toy: 'a' must be b\n(got c)"), 2, "error: Toy: 'a' must be b (got c)\n"),
        (RuntimeError("CUDA out of memory. Tried"), 2, "out of memory. Tried\n"),
        (MemoryError(), 2, "error: out of memory: on the CPU\n"),
        (FileNotFoundError("no such file"), 2, "error: no such file\n"),
        (NonFiniteLossError("loss is nan"), 1, "loss is nan\n"),
        (KeyboardInterrupt("go on so"), 130, "interrupted; go on so\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_how_a_command_ends(
    error: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(args: object) -> None:
        raise error

    module = SimpleNamespace(__doc__="Toy.", add_arguments=lambda parser, argv: None, run=run)
    monkeypatch.setattr(cli, "import_module", lambda name: module)
    with pytest.raises(SystemExit) as stopped:
        main(["train"])
    assert stopped.value.code == code
    assert capsys.readouterr().err.endswith(said)


def test_a_fault_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(args: object) -> None:
        raise KeyError("ours")

    module = SimpleNamespace(__doc__="Toy.", add_arguments=lambda parser, argv: None, run=run)
    monkeypatch.setattr(cli, "import_module", lambda name: module)
    with pytest.raises(KeyError):
        main(["train"])


@pytest.mark.parametrize("argv", [[], ["recommend", "--help"], ["evaluate", "--bogus"]])
def test_help_and_mistakes_do_not_wait_for_torch(argv: list[str]) -> None:
    code = f"import sys; from pyg_negsamp.cli import main\ntry: main({argv})\n"
    code += "except SystemExit: pass\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_what_the_system_refuses_is_named_without_its_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--dataset", "tiny", "--out", str(tmp_path / "file" / "run")])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert f"{tmp_path / 'file'}" in said
    assert "Errno" not in said
