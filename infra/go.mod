module fanout/infra

go 1.26.0
