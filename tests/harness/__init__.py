"""What the black-box tests share: a PostgreSQL, real servers, a client that holds every reply to the contract."""
