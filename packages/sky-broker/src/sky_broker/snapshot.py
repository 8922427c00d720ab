"""The catalogs that the real runs read: public list prices of four clouds in May 2026, and a sample of AWS of late 2022."""

from __future__ import annotations

from offprints.data import DataFile, Dataset

SNAPSHOT_DATES = {
    "aws": "2022-12",
    "azure": "2026-05-20",
    "gcp": "2026-05-20",
    "lambda": "2026-05-20",
    "vast": "2026-05-20",
}
SKY_CATALOG = Dataset(
    name="sky-catalog",
    title="Instance catalogs of AWS (a sample), Azure, GCP, Lambda and Vast in SkyPilot's format",
    licence="not stated by their collectors; public list prices",
    citation=(
        "azure, gcp, lambda, vast: github.com/anycloud-sh/catalog at 62ff0a98, 20 May 2026; aws: 212 rows of 8 machines from "
        "github.com/skypilot-org/skypilot-catalog at 5940ede7, late 2022"
    ),
    files=(
        DataFile(
            "aws/vms_sample_2022.csv",
            sha256="a23e4aaaf06c5e53c8f44966bd8182ff444eb8739b31849fcd44653ce09e3463",
            size=33_692,
        ),
        DataFile(
            "azure/vms.csv",
            sha256="5f60a693a9ac66cd956054ab9bce80e3d7ca905ebe198f09b2d1e6988db4f628",
            size=3_344_005,
        ),
        DataFile(
            "gcp/vms.csv",
            sha256="5faa5a219250e215f481cfeb58d9ac4edcac990c43f54e914855ae0482a5c1fb",
            size=2_318_103,
        ),
        DataFile(
            "lambda/vms.csv",
            sha256="3154c46544b2e148a50c36b1532fce0d2436bb6d4ab336c8964ec05a718647f8",
            size=77_321,
        ),
        DataFile(
            "vast/vms.csv",
            sha256="e87e43c60d6f847c5797dd25f1a6082488a09652d3450d5fd6f811b35986343e",
            size=11_612,
        ),
    ),
)

DATASETS = (SKY_CATALOG,)
