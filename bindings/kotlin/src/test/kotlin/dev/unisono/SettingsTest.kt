package dev.unisono

import dev.unisono.model.FieldError
import dev.unisono.model.FieldRule
import dev.unisono.model.Level
import dev.unisono.model.UnisonoException
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlinx.coroutines.runBlocking

/** Settings, as Kotlin sees them; what they do is `tests/scenarios/settings.json`. */
class SettingsTest {
    @Test
    fun `a watch tells the document and each change, and what does not fit is named`() = runBlocking {
        val client = Client.open(ClientOptions(":memory:", account = "anna"))
        val editor = client.settings().group("editor", """{"grid":{"snap":true},"zoom":1}""")
        val watch = editor.watch()
        assertEquals("""{"grid":{"snap":true},"zoom":1}""", watch.next())
        assertNotNull(editor.update("""{"zoom":2}"""))
        assertEquals("""{"grid":{"snap":true},"zoom":2}""", watch.next())
        assertEquals(Pair(Level.USER, false), Pair(editor.level("zoom"), editor.isOverridden("/grid/snap")))

        val profile = client.settings().profile()
        val refused = assertFailsWith<UnisonoException.Failed> { profile.update("""{"email":"nobody"}""") }
        assertEquals("settings_invalid", refused.code)
        assertEquals(listOf(FieldError("/email", FieldRule.FORMAT, "an e-mail address")), refused.fields)
        client.shutdown()
        assertNull(watch.next())
    }
}
