"""service.networks: which addresses lie in a set of networks."""

from dcmrecv.service.networks import Networks


def test_addresses_are_looked_up_in_networks() -> None:
    networks = Networks(["10.1.0.0/16", "192.168.7.9", "fd00::/8"])
    assert "10.1.255.255" in networks and "192.168.7.9" in networks
    assert "fd12::1" in networks
    for outside in ("10.2.0.1", "192.168.7.8", "fe80::1", "unknown", ""):
        assert outside not in networks
    assert "10.1.0.1" not in Networks(())
