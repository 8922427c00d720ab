"""QM7: atomisation energies of small molecules, as published and with the chemistry that the published features leave out.

The published program gives every atom the same features and joins all atoms of a molecule: all that a model can see then is how
many there are. `atom_count_error` is the least error that any function of the count can have, and it is the error that the paper
reports.
"""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offprints.content import decoded
from offprints.data import DataFile, Dataset
from offprints.errors import DataError

from ufg.graph_data import GraphData

ELEMENTS = ("H", "C", "N", "O", "S")
_CHARGE = np.array([1, 6, 7, 8, 16], float)
_RADIUS = np.array([0.31, 0.76, 0.71, 0.66, 1.05])  # covalent radii in angstrom, Cordero et al. 2008
_BOND = 1.25  # atoms are bonded up to this multiple of the sum of their radii
_BOHR = 0.529177210903  # angstrom


@dataclass(frozen=True)
class Molecules:
    """Atoms of several molecules, one molecule after the other.

    Attributes:
        sizes: (G,) atoms of each molecule.
        element: (N,) number in `ELEMENTS`.
        position: (N, 3) in angstrom.
        energy: (G,) kcal/mol.
    """

    sizes: NDArray[np.int64]
    element: NDArray[np.int64]
    position: NDArray[np.float64]
    energy: NDArray[np.float64]

    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Every pair of atoms of one molecule, once, and their distance in angstrom: (E, 2) and (E,)."""
        last = np.repeat(np.cumsum(self.sizes), self.sizes)
        first = np.arange(len(self.element)) + 1
        counts = last - first  # partners behind each atom
        u = np.repeat(np.arange(len(self.element)), counts)
        v = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
        return np.stack([u, v], 1), np.linalg.norm(self.position[u] - self.position[v], axis=1)


@dataclass(frozen=True)
class QM7(Dataset):
    """7,101 molecules as xyz geometries, and their energies."""

    def molecules(self, root: str | Path | None = None) -> Molecules:
        """Read the geometries.

        Raises:
            MissingFile: a file is not there.
            ChecksumMismatch: a file is not the published one.
            DataError: an atom is of another element, or a geometry does not read as one.
        """
        self.verify(root)
        rows = [
            line.split() for line in decoded(self.read_bytes("hof_qm7.txt", root), "hof_qm7.txt").splitlines()
        ]
        energy = _energies(rows)
        text = _members(self.read_bytes("qm7_xyz.tar", root))
        number = {symbol: i for i, symbol in enumerate(ELEMENTS)}
        sizes, element, position = [], [], []
        for name, *_ in rows:
            if name not in text:
                raise DataError(f"qm7_xyz.tar holds no {name}, which hof_qm7.txt names")
            atoms = [line.split() for line in text[name].splitlines()[2:] if line.strip()]
            sizes.append(len(atoms))
            try:
                element += [number[atom[0]] for atom in atoms]
                position += [[float(value) for value in atom[1:4]] for atom in atoms]
                if (
                    not all(len(atom) >= 4 for atom in atoms)
                    or not np.isfinite(position[-len(atoms) :]).all()
                ):
                    raise ValueError("an element and three finite numbers were expected in a line")
            except (KeyError, ValueError) as error:
                raise DataError(f"{name} of qm7_xyz.tar does not read as atoms: {error}") from error
        return Molecules(np.array(sizes), np.array(element), np.array(position), energy)

    def load(self, root: str | Path | None = None, chemistry: bool = True) -> GraphData:
        """The graphs.

        Args:
            root: where data sets lie.
            chemistry: True gives each atom its element and surroundings, and weighs a pair by its Coulomb repulsion. False is as
                published: five ones an atom, all pairs joined with weight 1.

        Raises:
            DataError: as `molecules`.
        """
        molecules = self.molecules(root)
        graphs = atoms_with_surroundings(molecules) if chemistry else atoms_without_names(molecules)
        return replace(graphs, checksums=self.verify(root))


def _energies(rows: list[list[str]]) -> NDArray[np.float64]:
    try:
        energy = np.array([float(row[1]) for row in rows])
    except (IndexError, ValueError) as error:
        raise DataError(f"hof_qm7.txt: a name and a number were expected in each line: {error}") from error
    if not len(energy) or not np.isfinite(energy).all():
        raise DataError("hof_qm7.txt: there is no molecule, or one whose energy is not finite")
    return energy


def _members(content: bytes) -> dict[str, str]:
    """Name -> text of the files in the archive."""
    found = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for member in archive:
                # A sparse member may say that it is of any size.
                if member.isfile() and not member.issparse() and (stream := archive.extractfile(member)):
                    name = member.name.rpartition("/")[2]
                    found[name] = decoded(stream.read(), f"{name} of qm7_xyz.tar")
    except (tarfile.TarError, OverflowError, EOFError) as error:
        raise DataError(f"qm7_xyz.tar is truncated or damaged: {error}") from error
    return found


def atoms_without_names(molecules: Molecules) -> GraphData:
    """The published graphs: every atom alike, every pair joined."""
    edges, _ = molecules.pairs()
    ones = np.ones((len(molecules.element), 5), np.float32)
    return GraphData("qm7", molecules.sizes, edges, ones, molecules.energy)


def atoms_with_surroundings(molecules: Molecules) -> GraphData:
    """Graphs whose atoms know their element, their bonded neighbours by element, and their Coulomb repulsions.

    Features: element (5), bonded neighbours of each element (5), bonds of each class of length relative to the radii (3), and the
    sum of the repulsions Z_i Z_j / R_ij in hartree, scaled by the charge. An edge weighs Z_i Z_j / R_ij.
    """
    edges, distance = molecules.pairs()
    element = molecules.element
    u, v = edges.T
    repulsion = _CHARGE[element[u]] * _CHARGE[element[v]] / (distance / _BOHR)
    relative = distance / (_RADIUS[element[u]] + _RADIUS[element[v]])
    bonded = relative < _BOND
    count = len(element)
    neighbours = np.zeros((count, len(ELEMENTS)))
    lengths = np.zeros((count, 3))
    # Shorter than the sum of radii is a bond of higher order: CC 1.54, 1.34 and 1.20 angstrom are 1.01, 0.88 and 0.79.
    order = np.digitize(relative[bonded], [0.84, 0.95])
    for here, there in ((u[bonded], v[bonded]), (v[bonded], u[bonded])):
        np.add.at(neighbours, (here, element[there]), 1)
        np.add.at(lengths, (here, order), 1)
    total = np.bincount(u, repulsion, count) + np.bincount(v, repulsion, count)
    features = np.concatenate(
        [np.eye(len(ELEMENTS))[element], neighbours, lengths, (total / _CHARGE[element] / 10)[:, None]], 1
    )
    return GraphData(
        "qm7",
        molecules.sizes,
        edges,
        features.astype(np.float32),
        molecules.energy,
        repulsion,
        element_counts(molecules),
    )


def element_counts(molecules: Molecules) -> NDArray[np.float64]:
    """(G, 5) atoms of each element in each molecule."""
    owner = np.repeat(np.arange(len(molecules.sizes)), molecules.sizes)
    counts = np.zeros((len(molecules.sizes), len(ELEMENTS)))
    np.add.at(counts, (owner, molecules.element), 1)
    return counts


def atom_count_error(sizes: NDArray[np.int64], energy: NDArray[np.float64]) -> float:
    """Least mean absolute error of any function of the number of atoms: that of the median of each number.

    Args:
        sizes: (G,) atoms of each molecule.
        energy: (G,).
    """
    error = 0.0
    for size in np.unique(sizes):
        chosen = energy[sizes == size]
        error += float(np.abs(chosen - np.median(chosen)).sum())
    return error / len(energy)


def atom_count_test_error(
    sizes: NDArray[np.int64], energy: NDArray[np.float64], train: NDArray[np.int64], test: NDArray[np.int64]
) -> float:
    """Mean absolute error on test molecules of the median energy of the training molecules with as many atoms.

    Args:
        sizes: (G,) atoms of each molecule.
        energy: (G,).
        train: (n,) molecules that the medians are taken over; a number of atoms that none of them has gets the median of all.
        test: (m,) molecules that are reported.
    """
    everything = float(np.median(energy[train]))
    median = {size: float(np.median(energy[train][sizes[train] == size])) for size in np.unique(sizes[train])}
    said = np.array([median.get(size, everything) for size in sizes[test]])
    return float(np.abs(said - energy[test]).mean())


def element_count_error(molecules: Molecules) -> float:
    """Mean absolute error of least squares on the number of atoms of each element."""
    counts = np.column_stack([element_counts(molecules), np.ones(len(molecules.sizes))])
    fitted = counts @ np.linalg.lstsq(counts, molecules.energy)[0]
    return float(np.abs(fitted - molecules.energy).mean())


MOLECULES = QM7(
    name="qm7",
    title="QM7: atomisation energies of 7,101 molecules",
    licence="MIT (qmlcode)",
    citation="Rupp, Tkatchenko, Müller and von Lilienfeld 2012, Physical Review Letters",
    files=(
        DataFile("hof_qm7.txt", sha256="e11bc6aac9e76b12bffcdf8d6579a8c21bea6b7e7ef59d742fd7e0f440bd42d4"),
        DataFile("qm7_xyz.tar", sha256="14bb5aacdf8aced032b0c7cc7a01e22b99e1a7aa48ee7710c322b24c56e67cc5"),
    ),
)
