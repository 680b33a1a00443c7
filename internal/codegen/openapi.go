package codegen

// object describes a kind of object of the OpenAPI Specification (3.0, 3.1 and 3.2).
type object struct {
	// fields are the keys that the specification defines, with the kind of their values: "" for
	// values without keys of interest, a name for an object, "[NAME" for a list of objects and
	// "{NAME" for a map from names to objects.
	fields map[string]string
	// others is the kind of the values of all other keys but extensions, for objects that map names
	// to objects, such as the paths.
	others string
	// closed says that the object has no other keys but extensions.
	closed bool
	// guard says that x-guard is read here.
	guard bool
}

const (
	// data is the kind of values that are not examined: their keys are names or data.
	data = ""
	// requirements is the kind of the values of security.
	requirements = "requirements"
)

// pathItemFields are the keys of a path item whose operations are objects of a kind.
func pathItemFields(operation string) map[string]string {
	fields := map[string]string{
		"$ref": data, "summary": data, "description": data, "servers": "[server", "parameters": "[parameter",
		"additionalOperations": "{" + operation,
	}
	// connect is not in the specification, but oapi-codegen reads it.
	for _, method := range []string{"get", "put", "post", "delete", "options", "head", "patch", "trace", "query", "connect"} {
		fields[method] = operation
	}
	return fields
}

var operationFields = map[string]string{
	"tags": data, "summary": data, "description": data, "externalDocs": "plain", "operationId": data,
	"parameters": "[parameter", "requestBody": "requestBody", "responses": "responses", "callbacks": "{callback",
	"deprecated": data, "security": requirements, "servers": "[server",
}

// openapiObjects are the objects of the specification by name.
var openapiObjects = map[string]object{
	"document": {closed: true, guard: true, fields: map[string]string{
		"openapi": data, "$self": data, "info": "info", "jsonSchemaDialect": data, "servers": "[server", "paths": "paths",
		"webhooks": "{outboundItem", "components": "components", "security": requirements, "tags": "[tag", "externalDocs": "plain",
	}},
	"info": {fields: map[string]string{"contact": "plain", "license": "plain"}},
	"components": {closed: true, fields: map[string]string{
		"schemas": "{schema", "responses": "{response", "parameters": "{parameter", "examples": "{plain",
		"requestBodies": "{requestBody", "headers": "{parameter", "securitySchemes": "{securityScheme", "links": "{link",
		"callbacks": "{callback", "pathItems": "{pathItem", "mediaTypes": "{mediaType",
	}},
	"paths":        {others: "pathItem"},
	"pathItem":     {closed: true, fields: pathItemFields("operation")},
	"outboundItem": {closed: true, fields: pathItemFields("outboundOperation")},
	"operation":    {closed: true, guard: true, fields: operationFields},
	// This API sends the requests of webhooks and callbacks, so x-guard has no effect there.
	"outboundOperation": {closed: true, fields: operationFields},
	"securityScheme": {closed: true, guard: true, fields: map[string]string{
		"$ref": data, "type": data, "description": data, "name": data, "in": data, "scheme": data, "bearerFormat": data,
		"flows": "flows", "openIdConnectUrl": data, "oauth2MetadataUrl": data, "deprecated": data, "summary": data,
	}},
	"flows": {fields: map[string]string{
		"implicit": "plain", "password": "plain", "clientCredentials": "plain", "authorizationCode": "plain", "deviceAuthorization": "plain",
	}},
	"parameter":   {fields: map[string]string{"schema": "schema", "content": "{mediaType", "examples": "{plain", "example": data}},
	"requestBody": {fields: map[string]string{"content": "{mediaType"}},
	"responses":   {others: "response"},
	"response":    {fields: map[string]string{"headers": "{parameter", "content": "{mediaType", "links": "{link"}},
	"mediaType": {fields: map[string]string{
		"schema": "schema", "itemSchema": "schema", "examples": "{plain", "example": data, "encoding": "{encoding",
		"prefixEncoding": "[encoding", "itemEncoding": "encoding",
	}},
	"encoding": {fields: map[string]string{"headers": "{parameter", "encoding": "{encoding"}},
	"callback": {others: "outboundItem"},
	"link":     {fields: map[string]string{"server": "server", "parameters": data, "requestBody": data}},
	"server":   {fields: map[string]string{"variables": "{plain"}},
	"tag":      {fields: map[string]string{"externalDocs": "plain"}},
	"schema": {fields: map[string]string{
		"properties": "{schema", "patternProperties": "{schema", "additionalProperties": "schema", "unevaluatedProperties": "schema",
		"propertyNames": "schema", "items": "schema", "prefixItems": "[schema", "contains": "schema", "unevaluatedItems": "schema",
		"allOf": "[schema", "anyOf": "[schema", "oneOf": "[schema", "not": "schema", "if": "schema", "then": "schema", "else": "schema",
		"dependentSchemas": "{schema", "$defs": "{schema", "definitions": "{schema", "contentSchema": "schema",
		"discriminator": "plain", "xml": "plain", "externalDocs": "plain", "default": data, "example": data, "examples": data,
		"enum": data, "const": data, "required": data, "dependentRequired": data,
	}},
	"plain": {fields: map[string]string{"value": data, "scopes": data, "mapping": data, "default": data, "enum": data, "variables": "{plain"}},
}
