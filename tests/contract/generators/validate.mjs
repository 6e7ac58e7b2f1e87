// Validates the documents that are named in the arguments. Fails at the first that is not valid.
import SwaggerParser from "@apidevtools/swagger-parser";

for (const path of process.argv.slice(2)) await SwaggerParser.validate(path);
