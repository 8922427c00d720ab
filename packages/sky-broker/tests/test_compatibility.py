"""Which cloud offers what, where regions lie, and what a machine emits."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from offprints.errors import InputError
from offprints.testing import data_folder

from sky_broker import Catalog, CompatibilitySet
from sky_broker.carbon import grams_per_hour, intensity
from sky_broker.places import allows, check_residency, jurisdictions


def test_a_task_can_run_where_all_of_its_interfaces_are() -> None:
    services = CompatibilitySet.embedded()
    places = ["aws:us-east-1", "azure:eastus", "gcp:us-central1", "lambda:us-east-1"]
    assert services.check(["kubernetes", "postgresql"], places).locations == tuple(places[:3])
    pinned = services.check(["kubernetes", "dynamodb"], places)
    assert pinned.locations == ("aws:us-east-1",)
    assert pinned.blocking == {"dynamodb": 2, "kubernetes": 0}
    assert "without dynamodb 2 more" in str(pinned)
    assert services.check([], places).locations == tuple(places)


def test_a_new_service_opens_places_and_coverage_counts_them() -> None:
    services = CompatibilitySet.embedded()
    places = ["aws:us-east-1", "azure:eastus", "gcp:us-central1", "lambda:us-east-1"]
    assert services.coverage(places)["kubernetes"] == 0.75
    more = services.with_service("kubernetes", "lambda")
    assert more.coverage(places)["kubernetes"] == 1.0
    assert more.coverage(places)["tpu"] == services.coverage(places)["tpu"] == 0.25


def test_an_unknown_interface_and_a_bad_table_are_refused(tmp_path: Path) -> None:
    services = CompatibilitySet.embedded()
    with pytest.raises(InputError, match="did you mean kubernetes"):
        services.require(["kubernets"])
    path = tmp_path / "services.csv"
    path.write_text("interface,cloud\n")
    with pytest.raises(InputError, match="columns"):
        CompatibilitySet.from_csv(path)
    path.write_text("interface,kind,cloud,service,how\nx,store,aws,X,native\nx,store,aws,Y,native\n")
    with pytest.raises(InputError, match="aws offers x twice"):
        CompatibilitySet.from_csv(path)
    path.write_text("interface,kind,cloud,service,how\nx,store,,X,native\n")
    with pytest.raises(InputError, match="does not fill"):
        CompatibilitySet.from_csv(path)


def test_a_region_is_under_its_country_and_its_unions() -> None:
    assert jurisdictions("aws:eu-central-1") == {"DE", "EU", "EEA"}
    assert jurisdictions("azure:norwayeast") == {"NO", "EEA"}
    assert jurisdictions("aws:eu-west-2") == {"GB"}  # its name says eu
    assert jurisdictions("gcp:europe-west6-a") == {"CH"}
    assert jurisdictions("vast:Bulgaria, BG, EU") == {"BG", "EU", "EEA"}


def test_an_unknown_place_is_under_no_jurisdiction() -> None:
    assert jurisdictions("aws:eu-nowhere-1") == frozenset()
    assert not allows(frozenset({"EU"}), "aws:eu-nowhere-1")
    assert allows(None, "aws:eu-nowhere-1")
    with pytest.raises(InputError, match="'UK'"):
        check_residency(["UK"])


def test_every_region_of_the_real_catalogs_has_a_country(tmp_path: Path) -> None:
    data_folder("sky-catalog")
    catalog = Catalog.load("snapshot", cache=tmp_path)
    unknown = {name for name in catalog.locations if name and not jurisdictions(name)}
    assert all(name.startswith("vast:") for name in unknown), unknown


def test_the_carbon_of_a_machine_is_that_of_the_formula() -> None:
    offers = Catalog.load("embedded").offers("V100:4", clouds=["aws"], regions=["aws:us-east-1"])
    cpu = 32 * (1.0113 + 0.5 * (3.8128 - 1.0113))
    expected = (cpu + 4 * 0.5 * 300) / 1000 * 1.135 * 415.755
    assert grams_per_hour(offers).tolist() == pytest.approx([expected])
    assert (grams_per_hour(offers, 1.0) > grams_per_hour(offers, 0.1)).all()


def test_what_is_not_known_is_not_clean() -> None:
    catalog = Catalog.load("embedded")
    assert np.isnan(grams_per_hour(catalog.offers("tpu-v3-8"))).all()
    assert np.isnan(grams_per_hour(catalog.offers(clouds=["lambda"]))).all()
    assert math.isnan(intensity("vast:Bulgaria, BG, EU"))
    assert intensity("gcp:us-west4-a") == intensity("gcp:us-west4") == 357.3


def test_the_embedded_grids_are_those_of_the_published_files() -> None:
    import csv

    folder = data_folder("cloud-carbon")
    with (folder / "grid-emissions-factors-aws.csv").open() as file:
        for row in csv.DictReader(file):
            assert intensity(f"aws:{row['Region']}") == pytest.approx(
                1e6 * float(row["CO2e (metric ton/kWh)"]), rel=1e-5
            )
    with (folder / "gcp-region-carbon-2024.csv").open() as file:
        for row in csv.DictReader(file):
            theirs = float(row["Grid carbon intensity (gCO2eq / kWh)"])
            assert intensity(f"gcp:{row['Google Cloud Region']}") == pytest.approx(theirs)
