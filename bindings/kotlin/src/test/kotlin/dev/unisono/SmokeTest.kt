package dev.unisono

import dev.unisono.model.ClientEvent
import dev.unisono.model.ErrorKind
import dev.unisono.model.Outcome
import dev.unisono.model.UnisonoException
import java.nio.file.Files
import java.nio.file.Path
import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertIs
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.yield

/** The generated Kotlin, against the real server. */
class SmokeTest : StageTest() {
    @Test
    fun `two devices end in unison, and errors tell their code`() = runBlocking {
        val desk = open("desk")
        val laptop = open("laptop")
        val samples = desk.collection("samples")
        // A real sample; its ids of 64 bits are exact, because a document crosses as text.
        val event = samples.create("bd_808.flac", """{"name":"bd 808","category":"bd","content":18446744073709551615}""")
        samples.edit("bd_808.flac").increment("/plays", 2).add("/tags", listOf("\"808\"")).commit()
        assertEquals(1uL, desk.syncNow().pushed)
        assertIs<Outcome.Applied>(desk.settled(event))

        assertEquals(1uL, laptop.syncNow().pulled)
        val theirs = laptop.collection("samples")
        val expected = """{"category":"bd","content":18446744073709551615,"name":"bd 808","plays":2,"tags":["808"]}"""
        assertEquals(expected, theirs.get("bd_808.flac"))
        val found = theirs.query("""{"where":{"plays":{"${'$'}ge":2}},"order_by":"name"}""")
        assertEquals(listOf("bd_808.flac"), found.map { it.id })
        assertNull(theirs.get("bd_909.flac"))

        val refused = assertFailsWith<UnisonoException.Failed> { theirs.create("bd_808.flac", "{}") }
        assertEquals(Triple("already_exists", ErrorKind.CONFLICT, false), Triple(refused.code, refused.kind, refused.retryable))
        val malformed = assertFailsWith<UnisonoException.Failed> { theirs.create("a", "{\"n\":1e999}") }
        assertEquals("invalid_number", malformed.code)

        desk.shutdown()
        laptop.shutdown()
        laptop.shutdown()
        val closed = assertFailsWith<UnisonoException.Failed> { theirs.get("bd_808.flac") }
        assertEquals(Pair("closed", ErrorKind.CLOSED), Pair(closed.code, closed.kind))
    }

    @Test
    fun `a listener may throw, call the client back and be slow`() = runBlocking {
        val client = open("a")
        val samples = client.collection("samples")
        val heard = mutableListOf<String>()
        val entered = CountDownLatch(1)
        val goesOn = CountDownLatch(1)
        val all = CountDownLatch(3)
        client.listen(object : EventListener {
            override fun onEvent(event: ClientEvent) {
                if (event is ClientEvent.Changed) {
                    entered.countDown()
                    goesOn.await()
                    heard.add(event.key.record)
                    runBlocking { samples.update(event.key.record, """{"heard":${client.status().pending}}""") }
                    all.countDown()
                    error("a listener's own mistake")
                }
            }
        })
        samples.create("kick", "{}")
        assertTrue(entered.await(30, TimeUnit.SECONDS))
        samples.create("snare", "{}")
        assertEquals(2, client.pending().size, "writes do not wait for the listener")
        goesOn.countDown()
        assertTrue(all.await(30, TimeUnit.SECONDS))
        assertEquals(listOf("kick", "snare"), heard.take(2))
        client.shutdown()
    }

    @Test
    fun `tokens come from the app, which may throw`() = runBlocking {
        val asked = AtomicInteger()
        val client = open("a", object : TokenSource {
            override fun tokenWanted(request: TokenRequest) {
                when (asked.incrementAndGet()) {
                    1 -> error("the login page is down")
                    2 -> request.refuse("nobody is signed in")
                    else -> Thread { request.give(server.token("anna")) }.start()
                }
            }
        })
        client.collection("samples").create("kick", "{}")
        for (words in listOf("the login page is down", "nobody is signed in")) {
            val refused = assertFailsWith<UnisonoException.Failed> { client.syncNow() }
            assertEquals("auth_required", refused.code)
            assertTrue(words in refused.detail, refused.detail)
        }
        assertEquals(1uL, client.syncNow().pushed)
        client.shutdown()
    }

    @Test
    fun `a damaged replica is recovered, and the doctor says what is wrong`() = runBlocking {
        val path = folder.resolve("damaged.db")
        val options = ClientOptions(path.toString())
        var client = Client.open(options)
        client.collection("samples").create("kick", "{}")
        assertEquals("anonymous", client.doctor().first().code)
        client.claim("anna")
        client.suspend()
        client.resume()
        client.shutdown()
        val damaged = Files.readAllBytes(path)
        damaged.fill(7, 100, 2000)
        Files.write(path, damaged)
        val refused = assertFailsWith<UnisonoException.Failed> { Client.open(options) }
        assertEquals("storage_corrupt", refused.code)
        val report = recover(path.toString())
        assertEquals(Pair(1uL, emptyList<String>()), Pair(report.events, report.lostEvents))
        client = Client.open(options)
        assertEquals("{}", client.collection("samples").get("kick"))
        val unknown = assertFailsWith<UnisonoException.Failed> { client.replace(client.pending().first().id, "{}") }
        assertEquals("event_state", unknown.code)
        client.shutdown()
    }

    @Test
    fun `a refused event is replaced, and a value that lost is read whole`() = runBlocking {
        val desk = open("desk")
        val laptop = open("laptop")
        val ours = desk.collection("notes")
        val theirs = laptop.collection("notes")
        ours.create("n", """{"body":"short","plays":1}""")
        desk.syncNow()
        laptop.syncNow()
        theirs.update("n", """{"plays":"many"}""")
        laptop.syncNow()
        val refused = ours.edit("n").increment("/plays", 1).commit()!!
        desk.syncNow()
        assertEquals(listOf(refused), desk.parked().map { it.id })
        desk.replace(refused, """{"plays":7}""")
        desk.syncNow()
        laptop.syncNow()
        assertEquals("""{"body":"short","plays":7}""", theirs.get("n"))

        val seen = ours.record("n")!!
        val body = "\"" + "a long story ".repeat(2000) + "\""
        theirs.update("n", """{"body":$body}""")
        laptop.syncNow()
        desk.syncNow()
        ours.update("n", """{"body":"a short one"}""", seen)
        desk.syncNow()
        laptop.syncNow()
        for (client in listOf(desk, laptop)) {
            val note = client.conflicts().single { it.path == "/body" }
            val reference = Regex("\"value_ref\":\\{[^}]*\"sha256\":\"([0-9a-f]{64})\"").find(note.doc)!!
            assertEquals(body, client.conflictValue(note.id, reference.groupValues[1]))
            client.shutdown()
        }
    }

    @Test
    fun `a replica in memory makes no file and is gone when it is closed`() = runBlocking {
        repeat(2) {
            val client = Client.open(ClientOptions(":memory:", account = "anna"))
            assertNull(client.collection("samples").get("kick"))
            client.collection("samples").create("kick", "{}")
            client.shutdown()
        }
        assertTrue(Files.notExists(Path.of(":memory:")))
    }

    @Test
    fun `a cancelled watch is a cancelled coroutine, and the client goes on`() = runBlocking {
        val client = open("a")
        val watch = client.collection("samples").watch("{}")
        assertEquals(0, watch.next()!!.records.size)
        var cancelled = false
        val waiting = launch {
            try {
                watch.next()
            } catch (error: CancellationException) {
                cancelled = true
                throw error
            }
        }
        yield()
        waiting.cancel()
        waiting.join()
        assertTrue(cancelled)
        client.collection("samples").create("kick", "{}")
        assertEquals(listOf("kick"), watch.next()!!.records.map { it.id })
        client.shutdown()
        assertNull(watch.next())
    }
}
