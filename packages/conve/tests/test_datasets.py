"""The declared benchmarks, on the real files and on synthetic ones of the same form."""

from __future__ import annotations

import gzip
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from offprints.data import Archive, ChecksumMismatch, DataFile, MalformedLine, MissingFile
from offprints.errors import DataError, InputError

from conve.datasets import DATASETS, Benchmark, load_dataset

COUNTS = {
    "wn18rr": (40943, 11, 86835, 3034, 3134),
    "fb15k-237": (14541, 237, 272115, 17535, 20466),
    "wn18": (40943, 18, 141442, 5000, 5000),
    "umls": (135, 46, 5216, 652, 661),
    "kinship": (104, 25, 8544, 1068, 1074),
    "nations": (14, 55, 1592, 199, 201),
    "countries_s1": (271, 2, 1111, 24, 24),
    "countries_s2": (271, 2, 1063, 24, 24),
    "countries_s3": (271, 2, 985, 24, 24),
}
FREEBASE = {
    "train": "/m/027rn\t/location/country/form_of_government\t/m/06cx9\n/m/06cx9\t/a/b./c d\t/m/027rn\n",
    "valid": "/m/027rn\t/a/b./c d\t/m/0x\n",
    "test": "/m/0x\t/location/country/form_of_government\t/m/06cx9\n",
}
YAGO = {
    "train": "Chatou\tisLocatedIn\tFrance\nÖrebro_SK\thasGender\tmale\n",
    "valid": "Chatou\thasGender\tmale\n",
    "test": "France\tisLocatedIn\tÖrebro_SK\n",
}


def archive(path: Path, members: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return path


def miniature(name: str, url: str, entities: int, relations: int) -> Benchmark:
    """The declaration as it stands, but for checksums and counts, fed from a local archive."""
    official = DATASETS[name]
    source = next(source for source in official.sources if isinstance(source, Archive))
    files = tuple(DataFile(file.name) for file in official.files)
    return replace(
        official, files=files, sources=(replace(source, url=url),), entities=entities, relations=relations
    )


def test_fb15k_is_taken_from_the_files_of_its_official_archive(tmp_path):
    members = {f"FB15k/freebase_mtr100_mte100-{split}.txt": text for split, text in FREEBASE.items()}
    packed = archive(tmp_path / "fb15k.tgz", {"FB15k/README": "read me", **members})
    small = miniature("fb15k", packed.as_uri(), 3, 2)
    with pytest.raises(MissingFile, match="offprints-data fetch fb15k"):
        small.load(tmp_path / "root")
    small.fetch(tmp_path / "root")
    graph = small.load(tmp_path / "root")
    assert graph.entities.names == ("/m/027rn", "/m/06cx9", "/m/0x")
    assert graph.relations.names == ("/location/country/form_of_government", "/a/b./c d")
    assert (len(graph.train), len(graph.valid), len(graph.test)) == (2, 1, 1)


def test_wn18_is_taken_from_the_files_of_its_official_archive_with_leading_zeros(tmp_path):
    texts = {
        "train": "03964744\t_hyponym\t04371774\n00260881\t_hypernym\t00260622\n",
        "valid": "00260622\t_hyponym\t00260881\n",
        "test": "04371774\t_hypernym\t03964744\n",
    }
    members = {f"wordnet-mlj12/wordnet-mlj12-{split}.txt": text for split, text in texts.items()}
    packed = archive(tmp_path / "wordnet-mlj12.tar.gz", members)
    small = miniature("wn18", packed.as_uri(), 4, 2)
    small.fetch(tmp_path)
    assert small.load(tmp_path).entities.names == ("03964744", "04371774", "00260881", "00260622")


@pytest.mark.parametrize("prefix", ["", "YAGO3-10/"])
def test_yago_is_taken_from_the_authors_archive_wherever_its_files_lie_in_it(tmp_path, prefix):
    packed = archive(
        tmp_path / "YAGO3-10.tar.gz", {f"{prefix}{split}.txt": text for split, text in YAGO.items()}
    )
    small = miniature("yago3-10", packed.as_uri(), 4, 2)
    small.fetch(tmp_path)
    graph = small.load(tmp_path)
    assert graph.entities.names == ("Chatou", "France", "Örebro_SK", "male")
    assert graph.name == "yago3-10"
    assert set(graph.checksums) == {"train.txt", "valid.txt", "test.txt"}


@pytest.mark.parametrize("name", ["fb15k", "yago3-10"])
def test_files_of_the_right_form_but_other_content_are_not_taken_for_the_benchmark(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    for split, text in FREEBASE.items():
        (folder / f"{split}.txt").write_text(text)
    with pytest.raises(ChecksumMismatch, match=f"{name}/train.txt"):
        load_dataset(name, tmp_path)


def test_other_counts_than_the_published_ones_are_refused(tmp_path):
    packed = archive(tmp_path / "YAGO3-10.tar.gz", {f"{split}.txt": text for split, text in YAGO.items()})
    small = miniature("yago3-10", packed.as_uri(), 5, 2)
    small.fetch(tmp_path)
    with pytest.raises(DataError, match="4 entities and 2 relations, expected 5 and 2"):
        small.load(tmp_path)


def test_a_malformed_line_is_named(tmp_path):
    texts = YAGO | {"valid": "Chatou\thasGender\tmale\nChatou\thasGender\n"}
    packed = archive(tmp_path / "YAGO3-10.tar.gz", {f"{split}.txt": text for split, text in texts.items()})
    small = miniature("yago3-10", packed.as_uri(), 4, 2)
    small.fetch(tmp_path)
    with pytest.raises(MalformedLine, match=r"valid\.txt, line 2"):
        small.load(tmp_path)


def test_a_folder_of_the_user_is_a_data_set(tmp_path):
    for split, text in YAGO.items():
        (tmp_path / f"{split}.txt.gz").write_bytes(gzip.compress(text.encode()))
    for name in (tmp_path, str(tmp_path)):
        graph = load_dataset(name)
        assert (graph.name, len(graph.train), graph.num_entities) == (tmp_path.name, 2, 4)


def test_a_folder_called_like_a_benchmark_needs_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("umls").mkdir()
    Path("umls/train.txt").write_text("a\tr\tb\n")
    assert len(load_dataset("./umls").train) == 1
    with pytest.raises(MissingFile):
        load_dataset("umls", tmp_path / "nowhere")


@pytest.mark.parametrize(("name", "near"), [("WN18", "wn18"), ("fb15k237", "fb15k-237"), ("qwerty", "cldr")])
def test_unknown_names_are_answered_with_near_ones(name, near):
    with pytest.raises(InputError, match=f"'{name}' is no data set and no folder.*{near}"):
        load_dataset(name)


def test_the_embedded_graph_needs_no_files(tmp_path):
    graph = load_dataset("cldr", tmp_path)
    assert graph.name == "cldr"
    assert "territory:DE" in graph.entities


def test_every_declaration_is_complete():
    assert set(DATASETS) == {*COUNTS, "fb15k", "yago3-10"}
    for name, benchmark in DATASETS.items():
        assert benchmark.name == name
        assert benchmark.licence and benchmark.citation and benchmark.title
        assert all(source.url.startswith("https://") for source in benchmark.sources)
        for file in benchmark.files:
            assert file.lines and file.md5
            assert any(source.gives(file.name) for source in benchmark.sources)
            assert file.pinning == ("sha256" if name in COUNTS else "not pinned (md5, lines only)")


@pytest.mark.real_data
@pytest.mark.parametrize("name", COUNTS)
def test_real_files_have_the_published_checksums_and_counts(name):
    try:
        graph = load_dataset(name)
    except MissingFile as missing:
        pytest.skip(str(missing))
    sizes = (graph.num_entities, graph.num_relations, len(graph.train), len(graph.valid), len(graph.test))
    assert sizes == COUNTS[name]
    assert graph.checksums == {file.name: file.sha256 for file in DATASETS[name].files}
    assert not any(
        "\r" in names for vocabulary in (graph.entities, graph.relations) for names in vocabulary.names
    )


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["fb15k", "yago3-10"])
def test_the_two_withheld_benchmarks_load_where_a_user_has_them(name):
    try:
        graph = load_dataset(name)
    except MissingFile as missing:
        pytest.skip(f"only checked on synthetic files of the same form: {missing}")
    assert len(graph.train) == DATASETS[name].files[0].lines
