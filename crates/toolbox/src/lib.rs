//! What two counterfoil processes must agree on: names, messages, topology, transport.
