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


def test_descriptors_are_numbers_behind_the_designs_own() -> None:
    table = ((5.0, 6.0), (7.0, 8.0), (9.0, 10.0))
    space = DesignSpace(torch.Size([7]), (2, 3), ((), table))
    designs = torch.tensor([[0.1, 0.2, 1, 0, 0, 1, 0], [0.3, 0.4, 0, 1, 0.5, 0, 0.5]])
    seen = space.describe(designs)
    assert space.num_descriptors == (0, 2)
    assert space.described == DesignSpace(torch.Size([9]), (2, 3))
    assert seen[:, 2:4].tolist() == [[7, 8], [7, 8]]
    assert torch.cat([seen[:, :2], seen[:, 4:]], 1).equal(designs)
    assert space.describe(designs.expand(3, 2, 7)).equal(seen.expand(3, 2, 9))


def test_without_descriptors_designs_are_seen_as_they_are() -> None:
    space = DesignSpace.of_shape(torch.Size([2, 3]))
    designs = torch.arange(12.0).reshape(2, 2, 3)
    assert space.num_descriptors == (0, 0)
    assert space.described is space
    assert space.describe(designs) is designs
