package dev.unisono

import dev.unisono.model.Conflict
import dev.unisono.model.Level
import dev.unisono.model.Record
import dev.unisono.model.TextComponent
import dev.unisono.model.UnisonoException
import java.nio.file.Path
import kotlin.io.path.Path
import kotlin.io.path.listDirectoryEntries
import kotlin.io.path.nameWithoutExtension
import kotlin.io.path.readText
import kotlin.test.assertEquals
import kotlin.test.assertNotNull
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.boolean
import kotlinx.serialization.json.int
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.TestFactory

/** Plays the scenarios that all languages play (their form: `tests/scenarios/README.md`). */
class ScenariosTest : StageTest() {
    @TestFactory
    fun `every scenario gives what it says`(): List<DynamicTest> =
        Path(System.getProperty("unisono.scenarios")).listDirectoryEntries("*.json").sorted().map { file ->
            dynamicTest(file.nameWithoutExtension) { runBlocking { play(file) } }
        }

    private suspend fun play(file: Path) {
        val scenario = writtenOut(Json.parseToJsonElement(file.readText())).jsonObject
        // The server is every scenario's: an account of its own for each.
        val account = "${scenario.text("account")} of ${file.nameWithoutExtension}"
        suspend fun device(name: String) = Device(open("${file.nameWithoutExtension}-$name", account = account))
        val devices = mutableMapOf<String, Device>()
        for (name in scenario.getValue("devices").jsonArray.map { it.jsonPrimitive.content }) devices[name] = device(name)
        scenario.getValue("steps").jsonArray.map { it.jsonObject }.forEachIndexed { index, step ->
            val name = step.text("device")
            val place = "step ${index + 1}: ${step.text("do")} on $name"
            if (step.text("do") == "reopen") {
                devices[name] = device(name)
                return@forEachIndexed
            }
            val given = try {
                devices.getValue(name).take(step)
            } catch (error: UnisonoException.Failed) {
                val told = objectOf(
                    "code" to JsonPrimitive(error.code),
                    "kind" to JsonPrimitive(error.kind.name.lowercase()),
                    "retryable" to JsonPrimitive(error.retryable),
                )
                assertEquals<JsonElement?>(step["error"], told, "$place: ${error.detail}")
                return@forEachIndexed
            }
            assertEquals(null, step["error"], "$place did not fail, it gave $given")
            step["expect"]?.let { expected -> assertEquals(expected, named(given, expected, step.text("do")), place) }
        }
        devices.values.forEach { it.client.shutdown() }
    }
}

private class Device(val client: Client) {
    private val watches = mutableMapOf<String, Watch>()
    private val reads = mutableMapOf<String, Record>()

    /** Takes a step; what it gives, where that is compared. */
    suspend fun take(step: JsonObject): JsonElement? {
        val plain = client.collection(step.optional("collection") ?: "samples")
        val samples = if (step["strict"]?.jsonPrimitive?.boolean == true) plain.strict() else plain
        val seen = step.optional("seen")?.let(reads::getValue)
        fun id() = step.text("id")
        return when (val action = step.text("do")) {
            "create" -> null.also { samples.create(id(), step.json("doc")) }
            "put" -> changed(samples.put(id(), step.json("doc"), seen))
            "put_many" -> {
                val docs = step.getValue("docs").jsonObject
                val events = samples.putMany(docs.map { (id, doc) -> Document(id, doc.toString()) })
                JsonObject(docs.keys.zip(events.map(::changed)).toMap())
            }
            "update" -> changed(samples.update(id(), step.json("patch"), seen))
            "save" -> changed(samples.save(assertNotNull(seen), step.json("doc")))
            "edit" -> {
                val ops = step.getValue("ops").jsonArray.map { it.jsonObject }
                changed(ops.fold(samples.edit(seen?.id ?: id(), seen), ::applied).commit())
            }
            "delete" -> null.also { samples.delete(id(), seen) }
            "get" -> parsed(samples.get(id()))
            "record" -> samples.record(id())?.let { record ->
                reads[step.optional("name").orEmpty()] = record
                objectOf("doc" to parsed(record.doc), "state" to JsonPrimitive(record.state.name.lowercase()))
            } ?: JsonNull
            "query" -> ids(samples.query(step.json("options")))
            "watch" -> null.also { watches[step.text("name")] = samples.watch(step.json("options")) }
            "next" -> ids(assertNotNull(watches.getValue(step.text("name")).next()).records)
            "sync" -> client.syncNow().let {
                objectOf(
                    "pushed" to number(it.pushed), "pulled" to number(it.pulled), "conflicts" to number(it.conflicts),
                    "parked" to number(it.parked),
                )
            }
            "status" -> client.status().let {
                objectOf(
                    "pending" to number(it.pending), "parked" to number(it.parked),
                    "state" to JsonPrimitive(it.state::class.simpleName?.lowercase()),
                    "withheld" to JsonPrimitive(it.withheld?.name?.lowercase()),
                )
            }
            "choose" -> changed(settings(step).update(step.json("patch")))
            "reset" -> JsonPrimitive(settings(step).reset(step.text("path")))
            "setting" -> {
                val (document, path) = settings(step) to step.text("path")
                val value = path.split("/").drop(1).fold(parsed(document.get())) { within, name -> within.jsonObject.getValue(name) }
                objectOf("value" to value, "level" to JsonPrimitive(document.level(path).name.lowercase()))
            }
            "conflicts" -> JsonArray(client.conflicts().map(::told).sortedBy { it.toString() })
            "conflict_value" -> openNote(step).let { note ->
                val loser = parsed(note.doc).jsonObject.getValue("losers").jsonArray[0].jsonObject
                parsed(client.conflictValue(note.id, loser.getValue("value_ref").jsonObject.text("sha256")))
            }
            "resolve" -> null.also { openNote(step).let { note -> client.resolve(note.id, note.scope) } }
            "close" -> null.also { client.shutdown() }
            "state" -> JsonObject(samples.query("{}").associate { it.id to parsed(it.doc) })
            else -> error("there is no step $action")
        }
    }

    /** The settings that a step is about: the preferences, or the app's group that it names, with its defaults. */
    private fun settings(step: JsonObject): Settings {
        val all = client.settings()
        val document = step.optional("name")?.let { all.group(it, step.json("doc")) } ?: all.preferences()
        return step.optional("level")?.let { document.at(Level.valueOf(it.uppercase())) } ?: document
    }

    /** The one open note on a step's record and path. */
    private suspend fun openNote(step: JsonObject): Conflict =
        client.conflicts().single { told(it)["record"] == step["record"] && told(it)["path"] == step["path"] }
}

private fun applied(edit: Edit, op: JsonObject): Edit {
    val path = op.text("path")
    fun values() = op.getValue("values").jsonArray.map { it.toString() }
    return when (val kind = op.text("op")) {
        "set" -> edit.set(path, op.json("value"))
        "unset" -> edit.unset(path)
        "inc" -> edit.increment(path, op.getValue("by").jsonPrimitive.long)
        "add" -> edit.add(path, values())
        "remove" -> edit.remove(path, values())
        "text" -> edit.text(path, op.getValue("edit").jsonArray.map(::component))
        else -> error("there is no operation $kind")
    }
}

private fun component(part: JsonElement): TextComponent = when {
    part is JsonObject -> TextComponent.Delete(part.getValue("d").jsonPrimitive.long.toULong())
    part.jsonPrimitive.isString -> TextComponent.Insert(part.jsonPrimitive.content)
    else -> TextComponent.Skip(part.jsonPrimitive.long.toULong())
}

private fun told(note: Conflict): JsonObject = objectOf(
    "collection" to JsonPrimitive(note.collection),
    "path" to JsonPrimitive(note.path),
    "record" to JsonPrimitive(note.record),
)

/** Writes out what stands for a repeated text. */
private fun writtenOut(value: JsonElement): JsonElement = when (value) {
    is JsonObject -> value["\$times"]?.let { JsonPrimitive(value.text("text").repeat(it.jsonPrimitive.int)) }
        ?: JsonObject(value.mapValues { (_, member) -> writtenOut(member) })
    is JsonArray -> JsonArray(value.map(::writtenOut))
    else -> value
}

/** Keeps of what a step gave what is expected of it: of reports and statuses, the fields that are named. */
private fun named(given: JsonElement?, expected: JsonElement, action: String): JsonElement? =
    if (given is JsonObject && expected is JsonObject && action in listOf("sync", "status", "record")) {
        JsonObject(given.filterKeys(expected::containsKey))
    } else {
        given
    }

private fun JsonObject.text(name: String): String = getValue(name).jsonPrimitive.content

private fun JsonObject.optional(name: String): String? = this[name]?.jsonPrimitive?.content

private fun JsonObject.json(name: String): String = getValue(name).toString()

private fun objectOf(vararg members: Pair<String, JsonElement>) = JsonObject(mapOf(*members))

private fun parsed(text: String?): JsonElement = text?.let(Json::parseToJsonElement) ?: JsonNull

private fun changed(event: String?) = JsonPrimitive(event != null)

private fun number(count: ULong) = JsonPrimitive(count.toLong())

private fun ids(records: List<Record>) = JsonArray(records.map { JsonPrimitive(it.id) })
