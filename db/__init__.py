"""Tables, SQL, sessions and migrations of the service. The only folder that knows SQLAlchemy; imports none of ours."""
