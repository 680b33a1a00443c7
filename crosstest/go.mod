module github.com/oapi-guard/oapi-guard/crosstest

go 1.26.4

replace github.com/oapi-guard/oapi-guard => ../

require github.com/c2sp/wycheproof v0.0.0-20260902155932-3fa63dd0344a
