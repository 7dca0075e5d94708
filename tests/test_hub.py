"""A name must lead to the right file, from a folder, the cache or the Hub; and where it cannot, to one clear line."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fake_hub import TOKEN, FakeHub
from safetensors.numpy import save

from jaxformers import hub
from jaxformers.checkpoint import weights

FILES = {"config.json": b'{"a": 1}', "tokenizer.json": b"{}", "model.safetensors": b"weights", "sub/config.json": b"[]"}


@pytest.fixture
def server():
    with FakeHub() as server:
        yield server


@pytest.fixture
def online(server, monkeypatch, tmp_path):
    """The fake Hub, with huggingface_hub in this process pointed to it, and one repository."""
    server.connect(monkeypatch, tmp_path / "cache")
    server.commit = server.add("owner/name", FILES)
    return server


def error_of(call, *arguments) -> str:
    """The one line that an OSError says."""
    with pytest.raises(OSError, match=r".") as caught:
        call(*arguments)
    line = str(caught.value)
    assert "\n" not in line
    return line


# -- names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("", "no such/folder/here", "/no/such/folder", "./missing", "owner/", "a--b", "a..b", "-a", "owner/na?me"),
        *("owner/name.git", "x" * 200, "with blanks", "a\0b", "https://huggingface.co/owner/name", "café/model"),
    ],
)
def test_what_is_no_folder_and_cannot_be_a_hub_name_is_an_error_at_once(name):
    assert "Hub name" in error_of(hub.source_of, name)


def test_a_path_object_is_never_taken_for_a_hub_name(tmp_path):
    assert "no such folder" in error_of(hub.source_of, Path("owner/name"))
    assert "is a file: pass the folder" in error_of(hub.source_of, __file__)


def test_a_folder_is_a_folder_by_str_by_path_and_with_a_tilde(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (str(tmp_path / "model"), tmp_path / "model", "~/model"):
        assert hub.source_of(name).file("config.json").read_text() == "{}"


def test_a_model_that_ships_with_the_package_needs_no_hub(tmp_path, monkeypatch):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.json").write_text("{}")
    monkeypatch.setattr(hub, "SHIPPED", tmp_path)
    source = hub.source_of("jaxformers/tiny")
    assert source.file("config.json") == tmp_path / "tiny" / "config.json"
    assert str(source) == "jaxformers/tiny"


def test_options_are_split_from_other_keywords_and_a_source_passes_through(tmp_path):
    source, rest = hub.split_options(tmp_path, {"subfolder": "a/b/", "num_labels": 3, "revision": "v1"})
    assert (source.subfolder, source.revision, rest) == ("a/b", "v1", {"num_labels": 3})
    assert hub.source_of(source) is source
    with pytest.raises(ValueError, match="exclude each other"):
        hub.source_of("owner/name", local_files_only=True, force_download=True)


def test_a_token_is_never_shown():
    source = hub.source_of("owner/name", token="hf_secret")
    assert "hf_secret" not in repr(source) + str(source)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("distilbert-base-uncased", "distilbert/distilbert-base-uncased"),
        (
            "distilbert-base-uncased-finetuned-sst-2-english",
            "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
        ),
        ("distilroberta-base", "distilbert/distilroberta-base"),
        ("distilgpt2", "distilbert/distilgpt2"),
        ("bert-base-uncased", "google-bert/bert-base-uncased"),
        ("bert-large-cased-whole-word-masking", "google-bert/bert-large-cased-whole-word-masking"),
        ("gpt2", "openai-community/gpt2"),
        ("gpt2-xl", "openai-community/gpt2-xl"),
        ("roberta-large-openai-detector", "openai-community/roberta-large-openai-detector"),
        ("roberta-base", "FacebookAI/roberta-base"),
        ("roberta-large-mnli", "FacebookAI/roberta-large-mnli"),
        ("xlm-roberta-large", "FacebookAI/xlm-roberta-large"),
        ("t5-small", "google-t5/t5-small"),
        ("albert-base-v2", "albert/albert-base-v2"),
        ("camembert-base", "almanach/camembert-base"),
    ],
)
def test_old_bare_names_and_today_s_names_are_the_same_model(name, other):
    assert hub.other_names(name) == (other,)
    assert hub.other_names(other) == (name,)


def test_other_names_have_no_second_spelling():
    for name in (
        "owner/bert-base-uncased",
        "nlptown/bert-base-multilingual-uncased-sentiment",
        "my-model",
        "google/t5",
    ):
        assert hub.other_names(name) == ()


# -- folders ----------------------------------------------------------------------------------------------------


def test_absent_files_are_none_or_an_error_that_says_what_is_there(tmp_path):
    (tmp_path / "vocab.txt").write_text("")
    source = hub.source_of(tmp_path)
    assert source.find("config.json") is None
    line = error_of(source.file, "config.json")
    assert line == f"{tmp_path} does not appear to have a file named config.json; it has: vocab.txt"
    assert "it has: nothing" in error_of(hub.source_of(tmp_path, subfolder="none").file, "config.json")


HOSTILE_NAMES = [
    "../secret",
    "/etc/passwd",
    "a/../../secret",
    "..",
    ".",
    "",
    "a//b",
    "a\\b",
    "a\0b",
    "C:x",
    "./a",
    None,
    3,
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_that_lead_elsewhere_are_refused(tmp_path, name, online):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "folder").mkdir()
    for source in (hub.source_of(tmp_path / "folder"), hub.source_of("owner/name")):
        with pytest.raises(ValueError, match="file name"):
            source.find(name)
    if name:
        with pytest.raises(ValueError, match="subfolder"):
            hub.source_of(tmp_path, subfolder=name) if isinstance(name, str) else hub.source_of(
                tmp_path, subfolder=".."
            )
    assert online.requests == []


def test_links_out_of_the_folder_folders_and_pipes_are_refused(tmp_path):
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "folder"
    (folder / "a folder").mkdir(parents=True)
    (folder / "inside").write_text("inside")
    (folder / "out").symlink_to("../secret")
    (folder / "up").symlink_to("..")
    (folder / "broken").symlink_to("nothing")
    (folder / "in").symlink_to("inside")
    os.mkfifo(folder / "pipe")
    source = hub.source_of(folder)
    assert "outside the folder" in error_of(source.find, "out")
    assert "outside the folder" in error_of(source.find, "up/secret")
    assert "not a regular file" in error_of(source.find, "a folder")
    assert "not a regular file" in error_of(source.find, "pipe")
    assert "cannot be read" in error_of(source.find, "broken")
    assert source.file("in").read_text() == "inside"


def test_a_snapshot_of_the_hub_s_cache_given_as_a_folder_may_link_to_its_blobs(online, tmp_path):
    path = hub.source_of("owner/name").file("config.json")
    assert path.is_symlink()
    assert hub.source_of(path.parent).file("config.json").read_bytes() == FILES["config.json"]
    (path.parent / "evil").symlink_to(tmp_path / "secret")
    (tmp_path / "secret").write_text("")
    assert "outside the folder" in error_of(hub.source_of(path.parent).find, "evil")


# -- the Hub ----------------------------------------------------------------------------------------------------


def test_files_are_fetched_once_and_then_come_from_the_cache_after_one_question(online):
    source = hub.source_of("owner/name")
    assert source.file("config.json").read_bytes() == FILES["config.json"]
    assert source.file("model.safetensors").read_bytes() == b"weights"
    assert source.find("vocab.txt") is None
    assert online.asked("GET") == ["config.json", "model.safetensors"]
    online.requests.clear()
    source = hub.source_of("owner/name")
    assert source.file("model.safetensors").read_bytes() == b"weights"
    assert source.file("config.json").read_bytes() == FILES["config.json"]
    assert source.find("vocab.txt") is None  # that the Hub has no such file is remembered too
    assert online.requests == [("HEAD", "owner/name", "main", "config.json")]


def test_subfolders_are_part_of_the_repository(online):
    assert hub.source_of("owner/name", subfolder="sub").file("config.json").read_bytes() == b"[]"
    line = error_of(hub.source_of("owner/name", subfolder="sub").file, "x.json")
    assert line == "owner/name/sub does not appear to have a file named x.json; it has: config.json"


def test_an_absent_file_is_an_error_that_lists_what_the_repository_has(online):
    line = error_of(hub.source_of("owner/name").file, "vocab.txt")
    listed = "config.json, model.safetensors, sub/config.json, tokenizer.json"
    assert line == f"owner/name does not appear to have a file named vocab.txt; it has: {listed}"


def test_a_repository_without_config_json_can_be_read(online):
    online.add("owner/bare", {"vocab.txt": b"a"})
    source = hub.source_of("owner/bare")
    assert source.find("config.json") is None
    assert source.file("vocab.txt").read_bytes() == b"a"


def test_a_revision_is_a_branch_a_tag_or_a_commit(online):
    old = online.commit
    online.add("owner/name", {"config.json": b"tagged"}, revision="v1")
    online.add("owner/name", {"config.json": b"new"})
    read = {
        revision: hub.source_of("owner/name", revision=revision).file("config.json").read_bytes()
        for revision in (None, "main", "v1", old)
    }
    assert read == {None: b"new", "main": b"new", "v1": b"tagged", old: FILES["config.json"]}
    online.requests.clear()
    hub.source_of("owner/name", revision=old).file("config.json")
    assert online.requests == []  # what a commit holds never changes
    line = error_of(hub.source_of("owner/name", revision="v9").file, "config.json")
    assert "owner/name has no revision 'v9'" in line


def test_all_files_of_one_load_are_of_one_commit(online):
    source = hub.source_of("owner/name")
    source.file("config.json")
    online.add("owner/name", dict.fromkeys(FILES, b"new"))
    assert source.file("model.safetensors").read_bytes() == b"weights"
    assert hub.source_of("owner/name").file("model.safetensors").read_bytes() == b"new"


def test_a_revision_learned_under_another_name_is_found_without_a_network(online):
    hub.source_of("owner/name", revision=online.commit).file("config.json")
    hub.source_of("owner/name").file("config.json")  # the commit is cached, that main means it is new
    online.stop()
    assert hub.source_of("owner/name").file("config.json").read_bytes() == FILES["config.json"]


def test_force_download_fetches_anew_once_for_each_load(online):
    hub.source_of("owner/name").file("config.json")
    online.requests.clear()
    source = hub.source_of("owner/name", force_download=True)
    for _ in range(2):
        assert source.file("config.json").read_bytes() == FILES["config.json"]
    assert online.asked("GET") == ["config.json"]
    online.stop()
    line = error_of(hub.source_of("owner/name", force_download=True).file, "config.json")
    assert "cannot be reached" in line
    assert "force_download=True asks for more than the cache" in line


def test_a_cache_folder_of_ones_own(online, tmp_path):
    path = hub.source_of("owner/name", cache_dir=tmp_path / "mine").file("config.json")
    assert path.is_relative_to(tmp_path / "mine")
    assert not (tmp_path / "cache").exists()


def test_a_token_is_sent_and_a_bad_one_named_as_the_reason(online):
    online.tokens.clear()
    hub.source_of("owner/name", token=TOKEN).file("config.json")
    assert set(online.tokens) == {f"Bearer {TOKEN}"}
    online.add("owner/other", FILES)
    assert "does not accept the token" in error_of(hub.source_of("owner/other", token="hf_bad").file, "config.json")
    assert "no token is stored" in error_of(hub.source_of("owner/other", token=True).file, "config.json")


def test_an_unknown_repository_is_said_to_be_one(online):
    for token in (None, TOKEN):
        line = error_of(hub.source_of("owner/unknown", token=token).file, "config.json")
        assert "'owner/unknown' is neither a folder here nor a repository" in line
        assert "token=" in line


def test_a_gated_repository_says_where_to_accept_and_opens_with_a_token(online, caplog):
    online.add("owner/gated", FILES, gated=True)
    line = error_of(hub.source_of("owner/gated").file, "config.json")
    assert f"owner/gated is gated: accept its conditions at {online.url}/owner/gated" in line
    assert hub.source_of("owner/gated", token=TOKEN).file("config.json").read_bytes() == FILES["config.json"]
    caplog.clear()
    assert hub.source_of("owner/gated").file("config.json").read_bytes() == FILES["config.json"]
    assert "is gated" in caplog.text
    assert "the cached copy is used" in caplog.text


# -- without a network ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["refused", "offline", "local_files_only", "error 500", "error 503"])
def test_without_a_network_the_cached_copy_is_used(online, monkeypatch, way):
    hub.source_of("owner/name").file("config.json")
    options = {}
    match way:
        case "refused":
            online.stop()
        case "offline":
            monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        case "local_files_only":
            options = {"local_files_only": True}
        case _:
            online.status = int(way.split()[1])
    online.requests.clear()
    start = time.perf_counter()
    source = hub.source_of("owner/name", **options)
    assert source.file("config.json").read_bytes() == FILES["config.json"]
    assert source.find("vocab.txt") is None  # as far as is known
    line = error_of(source.file, "model.safetensors")
    assert "owner/name: a file named model.safetensors is not in the cache, and " in line
    assert line.endswith("; pass a local folder instead")
    assert "nothing of it is cached" in error_of(hub.source_of("owner/name", revision="v1", **options).find, "x")
    assert time.perf_counter() - start < 3
    if way in ("offline", "local_files_only"):
        assert online.requests == []


@pytest.mark.parametrize("way", ["refused", "offline", "local_files_only", "error 500", "silent", "no such host"])
def test_with_nothing_cached_one_line_says_so_within_seconds(online, monkeypatch, way):
    options = {}
    match way:
        case "refused":
            online.stop()
        case "offline":
            monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        case "local_files_only":
            options = {"local_files_only": True}
        case "error 500":
            online.status = 500
        case "silent":
            online.silent = True
            monkeypatch.setattr(hub, "_PATIENCE", 0.5)
        case _:
            nowhere = "http://no-such-host.invalid"
            monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", nowhere)
            template = nowhere + "/{repo_id}/resolve/{revision}/{filename}"
            monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    start = time.perf_counter()
    source = hub.source_of("owner/name", **options)
    for name in ("config.json", "tokenizer.json", "config.json"):
        for call in (source.find, source.file):
            line = error_of(call, name)
            assert line.startswith(f"cannot fetch {name} of owner/name: ")
            assert line.endswith("nothing of it is cached; pass a local folder instead")
    assert time.perf_counter() - start < 5
    assert hub._PATIENCE <= 5  # seconds: the longest that a silent Hub keeps a user waiting


@pytest.mark.parametrize(
    ("cached", "asked"),
    [
        ("distilbert-base-uncased", "distilbert/distilbert-base-uncased"),
        ("google-bert/bert-base-uncased", "bert-base-uncased"),
    ],
)
def test_either_spelling_finds_the_copy_cached_under_the_other(online, cached, asked):
    commit = online.add(cached, FILES)
    for name in FILES:
        hub.source_of(cached).file(name)
    online.stop()
    for revision in (None, commit):
        source = hub.source_of(asked, revision=revision)
        assert source.file("model.safetensors").read_bytes() == b"weights"


def test_without_a_network_all_files_come_from_one_cached_copy_the_fuller_one(online):
    online.add("bert-base-uncased", {"config.json": b"old", "vocab.txt": b"old"})
    online.add("google-bert/bert-base-uncased", FILES)
    hub.source_of("bert-base-uncased").file("config.json")
    for name in FILES:
        hub.source_of("google-bert/bert-base-uncased").file(name)
    online.stop()
    source = hub.source_of("bert-base-uncased")
    assert source.file("config.json").read_bytes() == FILES["config.json"]
    assert source.file("tokenizer.json").read_bytes() == FILES["tokenizer.json"]


def test_online_a_moved_name_is_followed_and_a_mirror_without_redirects_asked_for_both(online):
    online.add("google-bert/bert-base-uncased", FILES)
    assert hub.source_of("bert-base-uncased").file("config.json").read_bytes() == FILES["config.json"]
    online.add("openai-community/gpt2", FILES)
    online.moved["gpt2"] = "openai-community/gpt2"
    assert hub.source_of("gpt2").file("config.json").read_bytes() == FILES["config.json"]
    online.requests.clear()
    assert hub.source_of("openai-community/gpt2").file("config.json").read_bytes() == FILES["config.json"]
    assert online.asked("GET") == []  # the same commit is cached under the other name


# -- weights from the Hub ------------------------------------------------------------------------------------------


def sharded() -> dict[str, bytes]:
    """A repository with two shards."""
    shards = {f"model-0000{n}-of-00002.safetensors": save({f"w{n}": np.full(3, n, np.float32)}) for n in (1, 2)}
    places = {f"w{n}": name for n, name in enumerate(shards, 1)}
    index = {"model.safetensors.index.json": json.dumps({"metadata": {}, "weight_map": places}).encode()}
    return {"config.json": b"{}"} | shards | index


def test_shards_are_fetched_one_by_one_and_found_again_without_a_network(online):
    online.add("owner/sharded", sharded())
    for _ in range(2):
        opened = weights.open_weights(hub.source_of("owner/sharded"))
        assert {name: tensor.read().tolist() for name, tensor in opened.items()} == {"w1": [1.0] * 3, "w2": [2.0] * 3}
        if online.asked("GET"):
            assert online.asked("GET")[1:] == [*sorted(name for name in sharded() if "-of-" in name)]
        online.stop()


def test_a_shard_that_is_not_in_the_cache_is_an_error_that_says_why(online):
    online.add("owner/sharded", sharded())
    source = hub.source_of("owner/sharded")
    for name in ("config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors"):
        source.file(name)
    line = error_of(weights.open_weights, hub.source_of("owner/sharded", local_files_only=True))
    assert "a file named model-00002-of-00002.safetensors is not in the cache, and local_files_only=True" in line


def test_a_repository_without_weights_says_what_it_has_instead(online):
    online.add("owner/tf", {"config.json": b"{}", "tf_model.h5": b""})
    line = error_of(weights.open_weights, hub.source_of("owner/tf"))
    assert "owner/tf does not appear to have weights (model.safetensors, " in line
    assert "it has: config.json, tf_model.h5; tf_model.h5 is a TensorFlow checkpoint: convert it first" in line
    assert online.asked("GET") == []


# -- downloads that break ---------------------------------------------------------------------------------------


def test_a_connection_that_breaks_in_the_middle_is_resumed_where_it_broke(online, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1 << 16)
    content = os.urandom(1 << 20)
    online.add("owner/large", {"config.json": b"{}", "model.safetensors": content})
    hub.source_of("owner/large").file("config.json")
    online.ranges.clear()
    online.cut = 1
    with contextlib.suppress(OSError):  # before 2.0 the library does not try again by itself
        hub.source_of("owner/large").file("model.safetensors")
    assert hub.source_of("owner/large").file("model.safetensors").read_bytes() == content
    assert online.ranges == [None, f"bytes={len(content) // 2}-"]


@pytest.mark.parametrize("way", ["always cut", "gone after the first answer", "error after the first answer"])
def test_a_download_that_never_succeeds_is_one_readable_line_and_leaves_no_file(online, monkeypatch, tmp_path, way):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    source = hub.source_of("owner/name")
    source.file("config.json")
    match way:
        case "always cut":
            online.cut = 1000
        case "gone after the first answer":
            online.stop()
        case _:
            online.status = 503
    line = error_of(source.file, "model.safetensors")
    assert line.startswith("cannot fetch model.safetensors of owner/name: ")
    assert not list(tmp_path.glob("cache/**/model.safetensors"))


def run(server: FakeHub, home: Path, *names: str) -> subprocess.Popen[str]:
    """Another process that fetches files of owner/large and prints what it got."""
    code = (
        "import sys, hashlib, json; from jaxformers import hub; source = hub.source_of('owner/large')\n"
        "print(json.dumps([hashlib.sha256(source.file(n).read_bytes()).hexdigest() for n in sys.argv[1:]]))"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")} | server.environment(home)
    return subprocess.Popen(
        [sys.executable, "-c", code, *names],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def result(process: subprocess.Popen[str]) -> list[str]:
    """The hashes that the other process printed."""
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return json.loads(out)


def wait_for(condition):
    """What `condition` gives, once it gives something."""
    deadline = time.monotonic() + 30
    while not (given := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return given


def test_a_process_killed_in_the_middle_of_a_download_leaves_nothing_that_harms_the_next(server, tmp_path):
    content = os.urandom(16 << 20)  # the library writes to disk after each 10 MiB
    server.add("owner/large", {"config.json": b"{}", "model.safetensors": content})
    server.seconds_per_block = 0.005
    process = run(server, tmp_path, "config.json", "model.safetensors")
    digest = hashlib.sha256(content).hexdigest()
    partial = wait_for(lambda: [path for path in tmp_path.glob(f"hub/*/blobs/{digest}.*") if path.stat().st_size])
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert partial[0].stat().st_size < len(content)
    server.seconds_per_block = 0.0
    assert result(run(server, tmp_path, "model.safetensors")) == [digest]


def test_processes_that_fetch_the_same_file_at_once_all_get_it_whole(server, tmp_path):
    content = os.urandom(1 << 20)
    server.add("owner/large", {"config.json": b"{}", "model.safetensors": content})
    server.seconds_per_block = 0.01
    processes = [run(server, tmp_path, "model.safetensors") for _ in range(3)]
    assert len({tuple(result(process)) for process in processes}) == 1
    assert server.asked("GET").count("model.safetensors") == 1


def test_the_environment_s_offline_switch_is_honoured_by_a_fresh_process(server, tmp_path):
    server.add("owner/large", {"config.json": b"{}"})
    result(run(server, tmp_path, "config.json"))
    server.requests.clear()
    code = "from jaxformers import hub; print(hub.source_of('owner/large').file('config.json').read_text())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | server.environment(tmp_path) | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "{}"
    assert server.requests == []


def test_a_folder_needs_neither_network_nor_the_hub_s_library(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    code = (
        f"import sys; from jaxformers import hub; hub.source_of({str(tmp_path)!r}).file('config.json')\n"
        "assert 'huggingface_hub' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_port_that_takes_connections_but_speaks_no_http_is_a_readable_error(monkeypatch, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener, FakeHub() as server:
        server.connect(monkeypatch, tmp_path)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(hub, "_PATIENCE", 0.3)
        assert "cannot be reached" in error_of(hub.source_of("owner/name").file, "config.json")
