"""The central collector: takes findings in, stores them, and answers questions over HTTP."""
