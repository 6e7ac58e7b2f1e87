// Runs the sample for Android on a JVM: tokens in a file, and steps from stdin.
import java.io.File
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.*

class FileTokens(private val file: File) : TokenStore {
    override fun read(): String? = if (file.exists()) file.readText() else null

    override fun write(token: String?) {
        if (token == null) file.delete() else file.writeText(token)
    }
}

class Driver(private val haoma: Haoma) {
    private lateinit var sent: Sent

    suspend fun drive(step: String, argument: String): JsonElement = when (step) {
        "requestCode" -> {
            sent = haoma.requestCode(argument)
            buildJsonObject {
                put("purpose", sent.purpose)
                put("hasChallenge", sent.challenge != null)
                put("resendAfter", sent.resendAfter)
            }
        }
        "enter" -> JsonNull.also { haoma.enter(sent, argument) }
        "call" -> call()
        "callAll" -> coroutineScope { JsonArray(List(argument.toInt()) { async { call() } }.awaitAll()) }
        "expire" -> JsonNull.also { renewAt.setLong(haoma, 0) }
        "token" -> JsonPrimitive(haoma.token())
        "loggedIn" -> JsonPrimitive(haoma.loggedIn)
        "logOut" -> JsonNull.also { haoma.logOut() }
        else -> error("there is no step $step")
    }

    private suspend fun call() = haoma.call("GET", "/v2/me").getValue("user_id")

    private val renewAt = Haoma::class.java.getDeclaredField("renewAt").apply { isAccessible = true }
}

fun main(arguments: Array<String>) = runBlocking {
    val driver = Driver(Haoma(arguments[0], FileTokens(File("refresh_token"))))
    for (line in generateSequence(::readLine)) {
        val request = Json.parseToJsonElement(line).jsonObject.mapValues { it.value.jsonPrimitive.content }
        val outcome = try {
            buildJsonObject { put("result", driver.drive(request.getValue("step"), request.getValue("argument"))) }
        } catch (error: HaomaException) {
            buildJsonObject {
                put("refused", error.code)
                put("retryAfter", error.retryAfter)
            }
        }
        println(outcome)
    }
}
