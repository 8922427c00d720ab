"""The benchmarks of the paper: where they come from, what their files must be, and how to load one.

Checksums and sizes are of the files as the authors publish them, uncompressed. FB15k and YAGO3-10 were published
without sha256; the md5 sums below are the ones that several libraries record independently of each other. The split
files of FB15k-237 end their lines with CR LF, those of the others with LF.

WN18's files are pinned to the text form that most code bases distribute. Dropping seven relations from it gives WN18RR
line for line, so it keeps the order of the original archive at least there; should the archive's own files differ in
order elsewhere, `fetch` refuses them by checksum and takes the mirror.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from offprints.data import Archive, DataError, DataFile, Dataset, Url
from offprints.errors import InputError
from offprints.sources import Source
from offprints.triples import SPLITS, KnowledgeGraph

_AUTHORS = "https://github.com/TimDettmers/ConvE/raw/master"
_BORDES = "https://everest.hds.utc.fr/lib/exe/fetch.php?media=en"
_MIRROR = "https://github.com/DeepGraphLearning/KnowledgeGraphEmbedding/raw/master/data"
_DETTMERS = (
    "Dettmers, Minervini, Stenetorp and Riedel 2018, Convolutional 2D Knowledge Graph Embeddings, AAAI"
)
_BORDES_2013 = "Bordes, Usunier, Garcia-Duran, Weston and Yakhnenko 2013, Translating Embeddings, NIPS"
_MIT = "MIT (the authors' repository)"
_WORDNET = "WordNet 3.0 licence (Princeton University)"
_FREEBASE = "CC BY 2.5 (Freebase)"


@dataclass(frozen=True)
class Benchmark(Dataset):
    """A data set of triples, and how many of each thing it must hold.

    Attributes:
        entities: distinct names over all splits.
        relations: distinct names over all splits.
    """

    entities: int = 0
    relations: int = 0

    def load(self, root: str | Path | None = None) -> KnowledgeGraph:
        """The graph, from files whose content has been checked.

        Raises:
            MissingFile: with the address and the command that fetches it.
            ChecksumMismatch, CorruptFile, MalformedLine: the files are not the published ones.
            DataError: the number of entities or relations is not the published one.
        """
        checksums = self.verify(root)
        paths = {Path(name).stem: path for name, path in self.locate(root).items()}
        graph = KnowledgeGraph.from_files(self.name, paths, checksums=checksums)
        found = (graph.num_entities, graph.num_relations)
        if found != (self.entities, self.relations):
            raise DataError(
                f"{self.name} in {self.directory(root)}: {found[0]:,} entities and {found[1]:,} relations, "
                f"expected {self.entities:,} and {self.relations:,}"
            )
        return graph


def load_dataset(name: str | Path, root: str | Path | None = None) -> KnowledgeGraph:
    """A benchmark by name, the embedded "cldr" graph, or any folder with train.txt, valid.txt and test.txt.

    Args:
        name: a key of DATASETS, "cldr", or the path of a folder. A name wins over a folder called the same; write
            "./umls" for the folder.
        root: where benchmarks lie; $OFFPRINTS_DATA or the user's cache by default.

    Raises:
        InputError: neither a data set nor a folder; the nearest names are offered.
        DataError: as Benchmark.load, KnowledgeGraph.from_folder.
    """
    if name == "cldr":
        from offprints import cldr  # here: Babel's tables take a moment to read, and most runs need none

        return cldr.knowledge_graph()
    if isinstance(name, str) and name in DATASETS:
        return DATASETS[name].load(root)
    if Path(name).is_dir():
        return KnowledgeGraph.from_folder(name)
    names = [*DATASETS, "cldr"]
    near = difflib.get_close_matches(str(name).lower(), names, n=3, cutoff=0.5) or names
    raise InputError(f"{str(name)!r} is no data set and no folder; nearest: {', '.join(near)}")


def _files(*declared: tuple[int, str, int | None, str | None]) -> tuple[DataFile, ...]:
    """Train, valid and test from (lines, md5, size, sha256) each."""
    return tuple(
        DataFile(f"{split}.txt", sha256=sha256, size=size, md5=md5, lines=lines)
        for split, (lines, md5, size, sha256) in zip(SPLITS, declared, strict=True)
    )


def _members(prefix: str) -> dict[str, str]:
    return {f"{prefix}-{split}.txt": f"{split}.txt" for split in SPLITS}


def _urls(folder: str) -> tuple[Source, ...]:
    return tuple(Url(f"{folder}/{split}.txt", f"{split}.txt") for split in SPLITS)


def _countries(number: int, left_out: str, train: tuple[int, str, int, str]) -> Benchmark:
    valid = (
        24,
        "551159f63bfdf6ef5d5881b5326276cf",
        624,
        "f4b27648148a44f87e627140ec3a02ca4c884c32d348591147ca72f1d6fff5b0",
    )
    test = (
        24,
        "0b06cc59ee7ed05f00397c81df697eff",
        610,
        "262ca5ae5ed3aa1927026e0f258cc52b10830185b93465b93b9360727e719158",
    )
    return Benchmark(
        name=f"countries_s{number}",
        title=f"Countries S{number}: the regions of 24 countries, {left_out}",
        licence=_MIT,
        citation="Bouchard, Singh and Trouillon 2015, On Approximate Reasoning Capabilities, AAAI Spring Symposium",
        files=_files(train, valid, test),
        sources=_urls(f"{_AUTHORS}/countries/countries_S{number}"),
        folder=f"countries/countries_S{number}",
        entities=271,
        relations=2,
    )


_ALL = (
    Benchmark(
        name="wn18rr",
        title="WN18RR: WN18 without seven inverse relations",
        licence=f"{_WORDNET}; split: {_MIT}",
        citation=_DETTMERS,
        files=_files(
            (
                86835,
                "35e81af3ae233327c52a87f23b30ad3c",
                3135377,
                "038612e783c215ee5f3ca9fbfca27b8d0739be1028fe4ee7c174aecf0b83d5df",
            ),
            (
                3034,
                "74a2ee9eca9a8d31f1a7d4d95b5e0887",
                110415,
                "453ce7202afa58094a04d2b1560ee2b02660f1c260b32ce6651c8ccedd1028ab",
            ),
            (
                3134,
                "2b45ba1ba436b9d4ff27f1d3511224c9",
                113180,
                "0383bceaaa1096cf3c03ec021ed0048068e2355dbfc0239b292cefdac821cec5",
            ),
        ),
        sources=(Archive(f"{_AUTHORS}/WN18RR.tar.gz"),),
        entities=40943,
        relations=11,
    ),
    Benchmark(
        name="fb15k-237",
        title="FB15k-237: FB15k without inverse and duplicate relations",
        licence=f"{_FREEBASE}; split: {_MIT}",
        citation="Toutanova and Chen 2015, Observed versus Latent Features, CVSC workshop",
        files=_files(
            (
                272115,
                "c05b87b9ac00f41901e016a2092d7837",
                21277292,
                "6e4c2782169af21e9743f3b1d200886f5d595bf6bc504ec1351720949c5cdfae",
            ),
            (
                17535,
                "6a94efd530e5f43fcf84f50bc6d37b69",
                1303101,
                "cf6309010852f6a8d47a45df830a426415d1ee6f7a3970a8376ff1fb81db4a5c",
            ),
            (
                20466,
                "f5bdf63db39f455dec0ed259bb6f8628",
                1519499,
                "5711cf41623ceb4eacc50eb6108a3ca6565c7492e3caaf82a3e355cc660d1574",
            ),
        ),
        sources=(Archive(f"{_AUTHORS}/FB15k-237.tar.gz"),),
        entities=14541,
        relations=237,
    ),
    Benchmark(
        name="wn18",
        title="WN18: WordNet, with an inverse for most relations",
        licence=_WORDNET,
        citation=_BORDES_2013,
        files=_files(
            (
                141442,
                "7d68324d293837ac165c3441a6c8b0eb",
                4758553,
                "24c9b02dc57d3ae8ca8467ce355995edee7be8eddc3bd070ee34d3c6fc3c95eb",
            ),
            (
                5000,
                "f4f66fec0ca83b5ebe7ad7003404e61d",
                169033,
                "13347bfb5e17d1cae003e0bfe29b4716d3ab748e8cfb6af997138d37da3a51dc",
            ),
            (
                5000,
                "b035247a8916c7ec3443fa949e1ff02c",
                168947,
                "d22c19d176d4ba6a6f0d0c6bfce39ab3c16e3b20e1df6f9efe0d9ed86542fa10",
            ),
        ),
        sources=(
            Archive(f"{_BORDES}:wordnet-mlj12.tar.gz", _members("wordnet-mlj12/wordnet-mlj12")),
            *_urls(f"{_MIRROR}/wn18"),
        ),
        entities=40943,
        relations=18,
    ),
    Benchmark(
        name="fb15k",
        title="FB15k: Freebase, with many inverse and duplicate relations",
        licence=_FREEBASE,
        citation=_BORDES_2013,
        files=_files(
            (483142, "5a87195e68d7797af00e137a7f6929f2", None, None),
            (50000, "275835062bb86a86477a3c402d20b814", None, None),
            (59071, "71098693b0efcfb8ac6cd61cf3a3b505", None, None),
        ),
        sources=(
            Archive(f"{_BORDES}:fb15k.tgz", _members("FB15k/freebase_mtr100_mte100")),
            *_urls(f"{_MIRROR}/FB15k"),
        ),
        entities=14951,
        relations=1345,
    ),
    Benchmark(
        name="yago3-10",
        title="YAGO3-10: the entities of YAGO3 with ten relations or more",
        licence=f"CC BY 3.0 (YAGO); split: {_MIT}",
        citation=f"Mahdisoltani, Biega and Suchanek 2015, YAGO3, CIDR; split: {_DETTMERS}",
        files=_files(
            (1079040, "a9da8f583ec3920570eeccf07199229a", None, None),
            (5000, "2d679a906f2b1ac29d74d5c948c1ad09", None, None),
            (5000, "14bf97890b2fee774dbce5f326acd189", None, None),
        ),
        sources=(Archive(f"{_AUTHORS}/YAGO3-10.tar.gz"),),
        entities=123182,
        relations=37,
    ),
    Benchmark(
        name="umls",
        title="UMLS: relations of biomedical concepts",
        licence=_MIT,
        citation=f"Kok and Domingos 2007, Statistical Predicate Invention, ICML; split: {_DETTMERS}",
        files=_files(
            (
                5216,
                "0beae7304448af74fae9c2f5e510c45d",
                260013,
                "873ef4925516b83e7f6f8cc02b4be51d848828710a7f65a956f0ac4a9e452f35",
            ),
            (
                652,
                "288e273e6e0b51e07f4beacf096fe953",
                32963,
                "025c98f8a4891e2a6582ec5b40ee0d904031edad9c52554522f4b7904820c98e",
            ),
            (
                661,
                "e179c95c129ee4f188846322b57d4298",
                32968,
                "a7eb529a3d2810fcc96341ccc97c625a5e202f8389673aa6bd317eeebbb79014",
            ),
        ),
        sources=(Archive(f"{_AUTHORS}/umls.tar.gz"),),
        entities=135,
        relations=46,
    ),
    Benchmark(
        name="kinship",
        title="Kinship: kinship terms of the Alyawarra; other repositories split it otherwise",
        licence=_MIT,
        citation=f"Denham 1973, The Detection of Patterns in Alyawarra Nonverbal Behavior; split: {_DETTMERS}",
        files=_files(
            (
                8544,
                "2f0fb8c9de86553b17cf8655c0b11e67",
                208710,
                "738612111a6acf0e39662bde24c7e72a4d1edf20931beea077da367dda689731",
            ),
            (
                1068,
                "1a29862bd3b80e7ae758a022991ac477",
                26088,
                "c56f8630a583178b1e569f11a64aa535ae1ce0b0912d8b1e24716be2b37f04da",
            ),
            (
                1074,
                "4130c202a819b5e42f8acde1f0fddf6e",
                26255,
                "05e5733265761d55be9c05bfaff5a8d0808df46f9c1e9d66cc3f2fe114e43d88",
            ),
        ),
        sources=(Archive(f"{_AUTHORS}/kinship.tar.gz"),),
        entities=104,
        relations=25,
    ),
    Benchmark(
        name="nations",
        title="Nations: relations of 14 states in the 1950s",
        licence=_MIT,
        citation=f"Rummel 1976, The Dimensionality of Nations; split: {_DETTMERS}",
        files=_files(
            (
                1592,
                "cb7e0ba8eb48770d27f35e63391dc678",
                39101,
                "0830fa9da8e5bba2ccdaa45b7bdc9130451ba66b09ff2708f35fccaf82473e57",
            ),
            (
                199,
                "566e5e18cbb41257787520c19ee8e50b",
                4851,
                "2b337a62e51a2f45c283eac98a70d21b7e0e102136be1539b2a52c652a7b0530",
            ),
            (
                201,
                "427040c5c5d4f5e9f51a314339609d6a",
                4951,
                "3971085165b47b6aeaec68058c6d8d98b3005e929db81268410b95ae4db770ab",
            ),
        ),
        sources=(Archive(f"{_AUTHORS}/nations.tar.gz"),),
        entities=14,
        relations=55,
    ),
    _countries(
        1,
        "from which nothing else is hidden",
        (
            1111,
            "b7d384aaf7680e7716a8b222b6e0477c",
            31885,
            "5256bf3fc4181d7e87d819571e3acfa5425fc5af365b9ebe5c113740534ca561",
        ),
    ),
    _countries(
        2,
        "whose subregions are hidden too",
        (
            1063,
            "28148642f3e2a67ad92079d7dc0c985a",
            30266,
            "84c8f310fa076f902760f0909716b13bc0853a105ab9e0145e4e5135d855f68a",
        ),
    ),
    _countries(
        3,
        "whose subregions and neighbours' regions are hidden too",
        (
            985,
            "8e2e1e9e31bf68beb2fe43bb2f31bdcb",
            28238,
            "80a8e3a26aff58b78fd5a453ec2a37591466bad621df8d05185f26763b663a0c",
        ),
    ),
)
DATASETS = {benchmark.name: benchmark for benchmark in _ALL}
