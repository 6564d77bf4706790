"""The AICC's room: what headquarters pulls over HTTP, and the client that pulls it. `app` has the paths, `query` the SQL behind them, `changes` the feed."""
