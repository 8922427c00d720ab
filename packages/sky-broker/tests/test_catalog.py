"""Catalogs: what is wrong in real files, hosts of GCP, questions, the cache and differences."""

from __future__ import annotations

import csv
import gzip
import re
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from offprints.errors import InputError, MalformedLine, MissingFile
from offprints.testing import data_folder

from sky_broker import Catalog, diff
from sky_broker.catalog import parse_accelerator, parse_at_least
from sky_broker.catalog_csv import read_csv

HEADER = "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,Generation\n"
GCP = "InstanceType,vCPUs,MemoryGiB,AcceleratorName,AcceleratorCount,GpuInfo,Region,AvailabilityZone,Price,SpotPrice\n"


def catalog(tmp_path: Path, text: str, cloud: str = "azure", name: str = "vms.csv") -> Catalog:
    folder = tmp_path / "catalogs" / cloud
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return Catalog.load(tmp_path / "catalogs", cache=tmp_path / "cache")


def same(one: Catalog, other: Catalog) -> bool:
    return bool(one.table.to_pandas().equals(other.table.to_pandas()))


def row(
    kind: str = "m1",
    price: object = 1.0,
    spot: object = 0.3,
    region: str = "eastus",
    gpu: str = ",",
    last: str = "V1",
) -> str:
    return f"{kind},{gpu},4,16,,{price},{spot},{region},{last}\n"


def test_a_row_that_lost_the_quotes_of_its_last_column_is_repaired_and_counted(tmp_path: Path) -> None:
    text = HEADER + row("a") + row("b", last="V2") + row("c", last="V1,V2") + row("d", last='"V1,V2"')
    found = catalog(tmp_path, text)
    assert len(found) == 4
    assert found.report.repaired == 1
    assert {offer.instance_type for offer in found.offers()} == set("abcd")


def test_a_surplus_that_may_belong_elsewhere_is_an_error_with_its_line(tmp_path: Path) -> None:
    text = HEADER + row("a") + row("b", region="Denmark, DK, EU")
    with pytest.raises(MalformedLine, match=r"line 3.*too many fields"):
        catalog(tmp_path, text)


def test_a_number_as_last_column_is_never_repaired(tmp_path: Path) -> None:
    text = GCP + "m1,4,16,,,,us-east1,us-east1-b,1.0,0.3\n" * 2 + "m1,4,16,,,,us-east1,us-east1-b,1.0,0.3,7\n"
    with pytest.raises(MalformedLine, match="line 4"):
        catalog(tmp_path, text, "gcp")


def test_a_row_with_too_few_fields_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(MalformedLine, match="line 3: 3 fields"):
        catalog(tmp_path, HEADER + row() + "a,b,c\n")


def test_a_price_that_is_no_number_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(MalformedLine, match=r"line 4.*dear"):
        catalog(tmp_path, HEADER + row("a") + row("b") + row("c", price="dear"))


def test_a_missing_column_and_an_empty_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column Price"):
        catalog(tmp_path, HEADER.replace("Price,Spot", "Cost,Spot", 1) + row())
    with pytest.raises(InputError, match="no rows"):
        catalog(tmp_path, HEADER)


def test_no_price_is_never_free(tmp_path: Path) -> None:
    text = HEADER + row("a", 0) + row("b", "") + row("c", "NaN") + row("d", 1, 0) + row("e", 1, "")
    found = catalog(tmp_path, text)
    assert found.report.without_price == 3
    assert found.report.zero_spot == 1
    assert [offer.instance_type for offer in found.offers(spot="allowed")] == ["d", "e"]
    assert len(found.offers(spot="required")) == 0


def test_of_two_prices_of_one_offer_the_higher_is_kept_and_counted(tmp_path: Path) -> None:
    text = HEADER + row("a", 1.0) + row("a", 1.5, 0.2) + row("b") + row("b")
    found = catalog(tmp_path, text)
    assert (found.report.conflicting, found.report.duplicates) == (1, 1)
    price = {offer.instance_type: offer.usd_per_hour for offer in found.offers()}
    assert price == {"a": 1.5, "b": 1.0}
    assert found.offers(instance_type="a", spot="required")[0].usd_per_hour == 0.3


def test_a_gpu_of_gcp_is_priced_with_its_host_and_neither_stands_alone(tmp_path: Path) -> None:
    zone = "us-central1,us-central1-a"
    text = GCP + f"a2-highgpu-1g,12,85,,,,{zone},0.9,0.4\n,,,A100,1,,{zone},1.7,1.0\n"
    text += f"n1-standard-8,8,30,,,,{zone},0.4,0.1\nn1-standard-96,96,360,,,,{zone},4.0,1\n,,,V100,1,,{zone},2.5,\n"
    text += f",,,tpu-v3-8,1,,{zone},8,2\n,,,A100,1,,us-central1,us-central1-b,1.7,1.0\n"
    found = catalog(tmp_path, text, "gcp")
    assert [(o.instance_type, o.usd_per_hour, o.vcpus) for o in found.offers("A100:1")] == [
        ("a2-highgpu-1g", pytest.approx(2.6), 12)
    ]
    # One V100 may be attached to at most 12 vCPUs; without a spot price of its own it is not on spot.
    assert [o.instance_type for o in found.offers("V100:1")] == ["n1-standard-8"]
    assert len(found.offers("V100:1", spot="required")) == 0
    assert found.offers("tpu-v3-8")[0].usd_per_hour == 8
    assert {o.instance_type for o in found.offers() if not o.accelerator} == {
        "n1-standard-8",
        "n1-standard-96",
    }
    assert (found.report.composed, found.report.hosts_only) == (2, 1)


def test_questions_are_answered_as_a_plain_filter_would(tmp_path: Path) -> None:
    found = Catalog.load("embedded")
    everything = list(found.offers(spot="allowed"))
    expected = {
        o
        for o in everything
        if o.accelerator == "V100" and o.count == 4 and o.cloud in ("aws", "gcp") and o.vcpus >= 32
    }
    asked = found.offers("V100:4", cpus="32+", clouds=["aws", "gcp"], spot="allowed")
    assert expected and set(asked) == expected
    cheapest = asked.cheapest()
    assert cheapest.usd_per_hour == min(o.usd_per_hour for o in expected)
    assert [o.usd_per_hour for o in asked.by_price()] == sorted(o.usd_per_hour for o in expected)
    assert asked.table().num_rows == len(expected)


def test_a_name_that_the_catalog_does_not_know_gets_the_nearest(tmp_path: Path) -> None:
    found = Catalog.load("embedded")
    with pytest.raises(InputError, match=r"'V10'.*V100"):
        found.offers("V10:1")
    with pytest.raises(InputError, match="aws"):
        found.offers(clouds=["awz"])
    with pytest.raises(InputError, match="us-east-1"):
        found.offers(regions=["aws:us-eest-1"])
    with pytest.raises(InputError, match="never, allowed, required"):
        found.offers(spot="sometimes")
    with pytest.raises(InputError, match="no offer"):
        found.offers("V100:1", cpus="900+").cheapest()


@pytest.mark.parametrize("wrong", ["", ":4", "V100:none", "V100:-1", "V100:0"])
def test_what_is_no_accelerator_is_refused(wrong: str) -> None:
    with pytest.raises(InputError, match="V100:4"):
        parse_accelerator(wrong)


def test_amounts_are_exact_or_open() -> None:
    assert parse_at_least("8") == (8.0, False)
    assert parse_at_least("8+") == (8.0, True)
    with pytest.raises(InputError, match="8\\+"):
        parse_at_least("8-")


def test_the_cache_gives_the_same_table_and_notices_every_change(tmp_path: Path) -> None:
    first = catalog(tmp_path, HEADER + row("a") + row("b"))
    again = Catalog.load(tmp_path / "catalogs", cache=tmp_path / "cache")
    assert same(again, first)
    assert again.report == first.report
    changed = catalog(tmp_path, HEADER + row("a", 2.0) + row("b"))
    assert changed.offers(instance_type="a")[0].usd_per_hour == 2.0
    for file in (tmp_path / "cache").glob("*.arrow"):
        file.write_bytes(file.read_bytes()[:100])
    assert same(Catalog.load(tmp_path / "catalogs", cache=tmp_path / "cache"), changed)


def test_gzip_and_plain_files_are_read_alike(tmp_path: Path) -> None:
    text = HEADER + row("a") + row("b", region="westus")
    plain = catalog(tmp_path / "1", text)
    packed = catalog(tmp_path / "2", text, name="vms.csv.gz")
    assert plain.report.sha256 == packed.report.sha256
    assert same(plain, packed)


def test_a_row_across_two_blocks_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "vms.csv"
    rows = [row(f"machine-{n}", 1 + n % 7, last="V1,V2" if n % 3 else "V1") for n in range(150_000)]
    path.write_text(HEADER + row("first", last="V2") + "".join(rows))
    found = read_csv(path)
    assert path.stat().st_size > 1 << 22
    assert found.rows == 150_001
    assert found.repaired == 100_000
    assert np.nansum(found.table["Price"].to_numpy()) == 1 + sum(1 + n % 7 for n in range(150_000))


def test_a_wrong_line_behind_the_first_block_has_its_number(tmp_path: Path) -> None:
    path = tmp_path / "vms.csv"
    path.write_text(HEADER + "".join(row(f"machine-{n}") for n in range(150_000)) + "short,row\n")
    with pytest.raises(MalformedLine, match="line 150002"):
        read_csv(path)


def test_a_difference_tells_what_came_went_and_changed(tmp_path: Path) -> None:
    before = catalog(tmp_path / "1", HEADER + row("a", 1.0) + row("b") + row("c", spot=""))
    after = catalog(tmp_path / "2", HEADER + row("a", 1.5) + row("c", spot=0.2) + row("d"))
    found = diff(before, after)
    assert list(found.added["instance_type"]) == ["d"]
    assert list(found.removed["instance_type"]) == ["b"]
    assert list(found.changed["instance_type"]) == ["a", "c"]
    assert found.changed["ratio"].tolist() == [1.5, 1.0]
    assert found.same == 0
    assert diff(before, before).same == 3


def test_nothing_to_read_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=str(tmp_path)):
        Catalog.load(tmp_path)
    (tmp_path / "aws").mkdir()
    for name in ("vms.csv", "vms_old.csv"):
        (tmp_path / "aws" / name).write_text(HEADER + row())
    with pytest.raises(InputError, match="2 catalogs"):
        Catalog.load(tmp_path)


def test_the_real_catalogs_have_the_defects_that_are_counted(tmp_path: Path) -> None:
    data_folder("sky-catalog")
    found = Catalog.load("snapshot", cache=tmp_path)
    report = found.report
    assert report.rows == 56_671 + 31_285 + 425 + 64 + 212
    assert report.repaired == 27_141
    assert report.unnamed == 21
    assert report.zero_spot >= 64
    assert report.spot_above_on_demand >= 24
    assert found.clouds == ["aws", "azure", "gcp", "lambda", "vast"]
    a100 = found.offers("A100:1", clouds=["gcp"], regions=["gcp:us-central1"])
    assert min(a100.usd) > 2.5  # the GPU alone is 1.7 $/h
    assert not (found.column("spot_usd") <= 0).any()


def test_every_embedded_price_has_its_date_and_its_source() -> None:
    clouds = 0
    for file in (resources.files("sky_broker") / "embedded" / "catalog").iterdir():
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        rows = list(csv.DictReader(lines))
        assert rows and all(re.fullmatch(r"20\d\d-\d\d(-\d\d)?", row["AsOf"]) for row in rows), file.name
        assert all(len(row["Source"]) > 5 for row in rows), file.name
        clouds += 1
    assert clouds == 4


def test_the_embedded_offers_are_rows_of_the_real_catalogs(tmp_path: Path) -> None:
    data_folder("sky-catalog")
    embedded, real = Catalog.load("embedded"), Catalog.load("snapshot", cache=tmp_path)
    theirs = {
        (o.location, o.zone, o.instance_type, o.accelerator, o.count, o.spot): o.usd_per_hour
        for kind in {o.instance_type for o in embedded.offers()}
        for o in real.offers(instance_type=kind, spot="allowed")
    }
    for offer in embedded.offers(spot="allowed"):
        key = (offer.location, offer.zone, offer.instance_type, offer.accelerator, offer.count, offer.spot)
        assert theirs[key] == pytest.approx(offer.usd_per_hour), key
    assert all(day for day in embedded.report.as_of.values())
