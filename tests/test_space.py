"""The layout of designs."""

import torch

from lightning_mbo.space import DesignSpace


def test_vectors_are_numbers_and_matrices_letters() -> None:
    vectors, sequences = (DesignSpace.of_shape(torch.Size(s)) for s in ((5,), (3, 4)))
    assert (vectors.num_numbers, vectors.groups, vectors.is_sequences) == (5, (), False)
    assert (sequences.num_numbers, sequences.groups, sequences.is_sequences) == (0, (4, 4, 4), True)


def test_parts_are_taken_apart_and_joined_again() -> None:
    space = DesignSpace(torch.Size([7]), (2, 3))
    designs = torch.arange(14.0).reshape(2, 7)
    numbers, groups = space.numbers(designs), space.one_hots(designs)
    assert numbers.tolist() == [[0, 1], [7, 8]]
    assert [group[1].tolist() for group in groups] == [[9, 10], [11, 12, 13]]
    assert space.join(numbers, groups).equal(designs)


def test_letters_of_a_sequence_are_its_groups() -> None:
    space = DesignSpace.of_shape(torch.Size([2, 3]))
    designs = torch.arange(12.0).reshape(2, 2, 3)
    groups = space.one_hots(designs)
    assert [group[0].tolist() for group in groups] == [[0, 1, 2], [3, 4, 5]]
    assert space.join(space.numbers(designs), groups).equal(designs)
